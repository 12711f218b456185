"""What a large fleet takes to serve, forecast from a run."""
