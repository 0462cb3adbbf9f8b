"""The register of factors, prices, sites and placements: as people bring them, as they are listed and written out."""
