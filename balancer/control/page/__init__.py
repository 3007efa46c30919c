"""The fleet page: static files that use the REST API like any client. No build step, no external resources."""
