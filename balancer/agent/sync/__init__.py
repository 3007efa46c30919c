"""Keep the lease, and fetch what the control plane publishes: table, services, purges, Fast Open keys."""
