"""The host's one reader: from the answers of meters to windows with their uses, handed over when it dies."""
