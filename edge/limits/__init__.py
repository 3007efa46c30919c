"""Bounds on clients and memory."""
