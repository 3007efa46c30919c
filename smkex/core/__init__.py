"""The protocol without I/O: bytes, paths and randomness come in as arguments, bytes and events go out."""
