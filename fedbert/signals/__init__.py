"""What a device sends, and what the server learns from the sum.

`signal.py` is the socket; `prototypes/` is the signal there is; `ranks.py` and `report.py` are shared by all.
A signal is named on the command line by its name here, or as ``my.py:Name``, a class in a file of your own.
"""

SIGNALS = {"prototypes": "fedbert.signals.prototypes.signal:Prototypes"}
"""Where each signal's class is: it is imported when it is asked for."""
