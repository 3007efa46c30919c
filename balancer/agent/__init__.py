"""The agent of a node: enrols it, keeps its lease, follows the table, announces the VIP. Read `daemon.py` first."""
