"""The spool: what a process writes down, and how it stays whole however it is cut."""
