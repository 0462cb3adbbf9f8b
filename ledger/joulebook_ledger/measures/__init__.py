"""What is derived from the books and never booked: intensities, what is implausible, what no figure covers."""
