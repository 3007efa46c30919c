"""The caller of a request: found by token or cookie, with a role."""
