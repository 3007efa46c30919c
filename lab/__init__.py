"""Whole networks as data: the namespace lab and what runs in it."""
