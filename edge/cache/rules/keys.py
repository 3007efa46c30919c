"""Keys of stored responses: host, target, and a digest of fields and cookies where these count, in between spaces."""


def url_of(key: str) -> str:
    """Return host and target: what all keys of one URL begin with."""
    host, space, rest = key.partition(" ")
    return host + space + rest.partition(" ")[0]
