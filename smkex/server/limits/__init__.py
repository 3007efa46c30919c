"""Limits on clients and memory."""
