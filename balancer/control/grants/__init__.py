"""Leave to withdraw for soft failures, within a budget: the fleet never takes itself away. Read `budget.py` first."""
