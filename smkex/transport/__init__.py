"""The ways that bytes go: one TCP connection a path, or one kernel MPTCP connection. The only sockets of smkex."""
