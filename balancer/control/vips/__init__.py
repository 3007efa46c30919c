"""VIPs: the anycast service addresses."""
