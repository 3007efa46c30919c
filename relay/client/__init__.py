"""The client's end: interfaces that lead to relays."""
