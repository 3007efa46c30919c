"""The built-in application: a caching reverse proxy in front of the origin."""
