"""Two hosts and a cable between them."""

from two_hosts import cable, hosts, one, other

__all__ = ["cable", "hosts", "one", "other"]
