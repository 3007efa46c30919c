"""Where a packet would go, by the current table."""
