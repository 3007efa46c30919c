"""WireGuard interfaces, of the kernel or of wireguard-go, by one interface."""
