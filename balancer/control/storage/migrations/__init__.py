"""Alembic migrations of the control plane's database; they run at every start."""
