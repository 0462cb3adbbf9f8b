"""The agent: the host's one reader as a daemon."""
