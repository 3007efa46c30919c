"""Health of edges: leases, their own reports, their peers' reports. Read `judgement.py` first."""
