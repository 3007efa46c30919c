"""Stored edges: queries, their copy in memory, their state in the forwarding table."""
