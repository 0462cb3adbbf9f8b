"""The service of Joulebook: HTTP in front of the ledger."""
