"""From a spool to its ledger."""
