"""Keep the lease, and fetch what the control plane publishes: table, purges, Fast Open keys."""
