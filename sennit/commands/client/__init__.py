"""Downloads, the local proxy, and remembered fleet keys."""
