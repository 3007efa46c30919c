"""httpx transports over sessions."""
