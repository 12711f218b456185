"""The report of a compression."""
