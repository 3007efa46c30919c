"""Transports: one TCP connection per path, or one kernel MPTCP connection. The only sockets of smkex."""
