"""Benchmarks of services in an edge."""
