"""What a client writes about its sessions for people who look for faults: keys and events."""
