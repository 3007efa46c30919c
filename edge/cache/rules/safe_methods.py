"""Methods that change nothing at the origin (RFC 9110 section 9.2.1)."""

# every other method is unsafe, also one that is unknown (RFC 9111 section 4.4)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "SEARCH", "REPORT"})
