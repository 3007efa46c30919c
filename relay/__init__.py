"""WireGuard relays: a second path for hosts with one interface, at both ends."""
