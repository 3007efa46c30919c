"""Transport `tcp`: one TCP connection a path."""
