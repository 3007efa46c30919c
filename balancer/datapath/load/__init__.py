"""Compile, load and attach the programs, and prepare the host for them."""
