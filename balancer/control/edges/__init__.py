"""Edges: enrolment, admin state, leases."""
