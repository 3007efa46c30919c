"""Secure Multipath Key Exchange: the protocol library that a client and an edge share, and the client."""
