"""What the control plane tells Prometheus."""
