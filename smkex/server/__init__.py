"""Accept sessions: `start_server` and `serve` for programs; the edge stands on the same listener."""
