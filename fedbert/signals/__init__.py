"""What a device sends, and what the server learns from the sum.

`signal.py` is the socket; `prototypes/` and `delta/` are the signals there are, `sketch.py` and `rotation.py`
are shared by these two, `ranks.py` and `report.py` by all.
"""
