"""The report of a capacity plan."""
