"""What a round may reveal: sampling, clipping, noise, secure summing, and the budget they cost."""
