"""The fleet's TCP Fast Open keys."""
