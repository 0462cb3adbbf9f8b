"""Closing months: what is judged, what is sealed, and how a sealed month is read (CORE §6, §7)."""
