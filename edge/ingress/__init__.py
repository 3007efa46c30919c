"""Accept subflows and ordinary HTTPS connections, and bring each to the worker that owns its session."""
