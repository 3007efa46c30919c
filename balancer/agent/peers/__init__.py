"""Probe other edges' agents, and answer theirs."""
