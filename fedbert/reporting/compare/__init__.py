"""The report of a comparison of runs, grids or forecasts."""
