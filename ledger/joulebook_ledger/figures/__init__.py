"""From integers of the journal to figures with shares, reasons and uncertainty; what they are of, and on what they stand."""
