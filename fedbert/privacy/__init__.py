"""What a round may reveal: sampling, clipping, noise, secure summing, and the budget they cost.

`mechanism.py` is the socket; a mechanism is named on the command line by its name here, or as ``my.py:Name``,
a class in a file of your own.
"""

MECHANISMS = {"gaussian": "fedbert.privacy.gaussian:Gaussian"}
"""Where each mechanism's class is: it is imported when it is asked for."""
