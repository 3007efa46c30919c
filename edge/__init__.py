"""One edge server: it listens and serves, nothing else."""
