"""Health of edges: leases, their own reports, their peers' reports. Read `assessment.py` first."""
