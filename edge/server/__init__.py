"""Processes of the edge: start, application, drain; `workers` and `status` beside them."""
