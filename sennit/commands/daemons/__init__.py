"""Daemons of nodes and of the control plane."""
