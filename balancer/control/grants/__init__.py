"""Grants to withdraw for soft failures, within a budget: the fleet never withdraws as a whole.

Read `budget.py` first.
"""
