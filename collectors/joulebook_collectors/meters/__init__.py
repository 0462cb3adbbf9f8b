"""Meters: one file per source of energy figures, behind one protocol, and which of them this machine has."""
