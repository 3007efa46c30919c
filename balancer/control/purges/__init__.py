"""Purges: what edges must drop from their caches."""
