"""Privacy against quality: a grid of runs and its frontier."""
