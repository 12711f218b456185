"""Terminal, tables, plots and the one-file HTML report: reads results, computes nothing new."""
