"""The report of a privacy plan."""
