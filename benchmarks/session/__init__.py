"""The protocol's core: key exchanges and records, without a network."""
