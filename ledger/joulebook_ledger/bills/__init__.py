"""Bills: taking deliveries in, and holding them against what was metered."""
