"""Health socket, metrics and the facts that both publish."""
