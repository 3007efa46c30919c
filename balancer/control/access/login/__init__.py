"""The page's login: a token is exchanged for a cookie."""
