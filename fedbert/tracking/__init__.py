"""Trackers: what follows a run round by round, beside the files that every run writes."""
