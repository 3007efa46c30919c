"""Edges, sites, VIPs, the forwarding table, purges and the audit log."""
