"""The compose lab, up once for all tests of this folder."""

from compose_lab import compose, compose_mptcp

__all__ = ["compose", "compose_mptcp"]
