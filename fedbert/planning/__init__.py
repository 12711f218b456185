"""Plans made from runs: the privacy-quality frontier and the capacity forecast for a larger fleet."""
