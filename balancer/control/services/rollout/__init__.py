"""Rollouts: a revision reaches edges stage by stage, and goes back by itself where a stage is ill."""
