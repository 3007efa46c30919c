"""The papers' figures, measured in the lab: SMKEX 13 and 14, MPTCPsec 8 and 9."""
