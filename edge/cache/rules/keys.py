"""Keys of stored responses: host, target, and a digest of fields and cookies where these count, in between spaces.

The host has the name of its service before it, where services share an edge.
"""


def url_of(key: str) -> str:
    """Return host and target: what all keys of one URL begin with."""
    host, space, rest = key.partition(" ")
    return host + space + rest.partition(" ")[0]


def host_of(key: str) -> str:
    return key.partition(" ")[0]


def path_of(key: str) -> str:
    """Return host and target without the query."""
    return url_of(key).partition("?")[0]


def all_of_host(key: str) -> str:
    """Return what stands for every key of a host in the change log."""
    return f"{host_of(key)} *"
