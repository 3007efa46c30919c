"""Stored responses: what may be stored and for how long (RFC 9111), and the files that hold them."""
