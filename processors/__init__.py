"""Processors: they work on frames."""
