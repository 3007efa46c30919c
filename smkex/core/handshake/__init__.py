"""The key exchange of both ends, in all modes, and joins of further subflows."""
