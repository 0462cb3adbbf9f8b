"""What the kernel says of this machine and its processes, and the guards under which everything here runs."""
