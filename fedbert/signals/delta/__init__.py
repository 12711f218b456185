"""The signal `delta`: what a phone would change of the items."""
