"""What a round may reveal: sampling, clipping, noise, secure summing, and the budget they cost.

`mechanism.py` is the socket; `gaussian.py` is the mechanism there is.
"""
