"""The load balancer: what brings a secondary subflow to the edge that owns its session."""
