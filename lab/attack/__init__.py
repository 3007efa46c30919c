"""Attackers that really sit on the lab's paths, and the table of what comes of them (SMKEX section 6)."""
