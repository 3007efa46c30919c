"""What is known of each request: its id and trace, its line in the access log, the figures of its service."""
