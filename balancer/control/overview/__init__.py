"""What the fleet page shows of many edges and services: counts, those to look at first, and no more."""
