"""How the constants of the device model were found, and how far off they are."""
