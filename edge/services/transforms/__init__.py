"""What a service changes on the way: header fields, redirects."""
