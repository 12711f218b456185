"""The report of a back-test of the capacity forecast."""
