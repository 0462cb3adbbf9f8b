"""Figures that ship with Joulebook, each with its source, year and licence. Nothing here is applied unless somebody asks for it."""
