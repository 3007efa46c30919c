"""HTTP/1.1 on a session, header fields, and a request as the edge sees it."""
