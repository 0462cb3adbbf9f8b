"""The ledger of Joulebook: facts, booking and views."""
