"""MPTCP path management in a separate process, so that the edge holds no CAP_NET_ADMIN."""
