"""Comparing finished runs, grids or forecasts: what differs in them, and which results differ by it."""
