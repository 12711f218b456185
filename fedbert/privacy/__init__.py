"""What a round may reveal: sampling, clipping, noise, secure summing, and the budget they cost.

`mechanism.py` is the socket; `poisson.py`, `once_a_day.py`, `correlated.py` and `tree.py` are the mechanisms.
"""
