"""Named tokens with roles, for operators and programs."""
