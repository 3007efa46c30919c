"""The rotation of the key that signs tables and services."""
