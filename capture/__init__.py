"""Bring unmodified programs to sessions: cgroup eBPF leads their connections to a local entrance."""
