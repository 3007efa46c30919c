"""Names: the resolver of each path, how it is asked, and what both paths must agree on."""
