"""Interfaces, routes and host names: where a path leads."""
