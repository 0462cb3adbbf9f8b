"""What a book needs done by the clock, and who does it: due work is a row, one worker leads, and the clock only reminds."""
