"""The report of a run: one file a chapter, and the folder that it lies in."""
