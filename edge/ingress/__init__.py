"""Accept subflows and HTTPS connections, and hand each subflow to the worker that owns its session."""
