"""The shield: misses go to one edge of a site, which asks the origin for all."""
