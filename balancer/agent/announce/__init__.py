"""Decide whether the VIP is announced, and have BIRD do it."""
