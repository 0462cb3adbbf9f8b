"""One file per kind of question; each route parses, makes one call of the ledger, and answers."""
