"""The forwarder: cost of its programs, bulk through it and through its peers."""
