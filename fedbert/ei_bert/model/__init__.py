"""The student: its network, quantisation, export and tokens."""
