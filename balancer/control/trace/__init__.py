"""The forwarder's decision for a packet on the current table."""
