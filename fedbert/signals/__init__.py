"""What a device sends, and what the server learns from the sum.

`signal.py` is the socket; `prototypes/` is the signal there is; `ranks.py` and `report.py` are shared by all.
"""
