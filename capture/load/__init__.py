"""Compile and load the programs, in a process of its own that ends when it has."""
