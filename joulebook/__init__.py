"""The front door of Joulebook: tracking and the command line."""
