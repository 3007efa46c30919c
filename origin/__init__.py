"""The origin server: serves a directory with correct validators."""
