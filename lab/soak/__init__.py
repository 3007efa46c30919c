"""The soak: mixed load for long, failures injected all the while; nothing may be lost, and nothing may grow."""
