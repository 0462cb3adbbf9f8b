"""What is said beside the figures and never booked: what is implausible, and what no figure covers."""
