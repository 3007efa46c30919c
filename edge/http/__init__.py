"""Header fields, and a client's request with its cache key."""
