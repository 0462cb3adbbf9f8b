"""What is told of the books: runs, reports, rankings, intensities, and why each figure is what it is."""
