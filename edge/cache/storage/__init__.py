"""Stored responses on disk and in memory, shared by the workers of a node."""
