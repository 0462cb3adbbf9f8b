"""The measuring side of Joulebook: meters, processes, spool and reader."""
