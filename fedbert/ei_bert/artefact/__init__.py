"""What a phone gets: the artefact, its heads, and how it runs."""
