"""The control plane under a fleet, and what grows with the fleet."""
