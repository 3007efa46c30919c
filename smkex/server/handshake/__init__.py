"""Serve key exchanges over tcp and mptcp until a session is established."""
