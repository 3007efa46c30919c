"""HTTP around the API: TLS handshakes, limits, problems (RFC 9457), paging, preconditions, OpenAPI."""
