"""This machine as a device: timing, a profile of it, memory limits that are really run."""
