"""What both ends of a service agree on: addresses, tokens, packing, answers, and when to ask again."""
