"""What `sennit doctor` checks: this host as a client's, and as an edge's."""
