"""Figures of services over the last day, summed over edges, in memory."""
