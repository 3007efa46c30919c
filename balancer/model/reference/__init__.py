"""The reference forwarder in Python: packet in, reason and packet out."""
