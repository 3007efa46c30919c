"""Interfaces, routes and name resolution: where a path leads."""
