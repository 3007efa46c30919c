"""The key schedule, certificates of edges, and keys as files."""
