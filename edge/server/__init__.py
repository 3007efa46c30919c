"""The edge's processes: main, supervisor, workers, drain, health and metrics."""
