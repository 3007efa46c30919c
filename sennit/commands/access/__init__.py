"""Tokens, keys and backups."""
