"""Who was there: tracked processes, jobs that nobody announced, and who was active on which device."""
