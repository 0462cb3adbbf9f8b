"""A year for a reviewer: everything that its figures stand on, in one file that checks itself without Joulebook."""
