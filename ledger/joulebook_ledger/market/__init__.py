"""The market-based method: instruments as people bring them, their allocation to months, and hourly matching as a view (CORE §8)."""
