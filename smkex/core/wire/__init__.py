"""Frames and messages as bytes."""
