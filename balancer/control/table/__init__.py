"""The forwarding table: one versioned value."""
