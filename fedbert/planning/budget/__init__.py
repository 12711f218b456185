"""Privacy planned backwards: from an epsilon over some days to noise, expected loss and fleet size."""
