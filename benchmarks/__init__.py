"""Benchmarks: ratios to a peer measured in the same run, alternating, medians with spread."""
