"""Tracking within one process, and of a command."""
