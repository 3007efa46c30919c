"""Compile, load and attach the programs, in a process of its own that ends when it has."""
