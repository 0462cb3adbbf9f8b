"""What people bring: entered by hand, as sheets, as maps, or as the past jobs of a scheduler."""
