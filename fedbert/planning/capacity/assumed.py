"""What a plan assumes and no run measures; each is a flag of ``fedbert capacity``."""

CHECK_IN_BYTES = 3_000.0
"""A check-in's request and answer are small beside the TLS handshake in front of them."""

CONNECTION_BYTES = 3_000.0
"""About a TLS 1.3 handshake with a chain of two certificates, which is some kilobytes."""

DOWNLOAD_S = 10.0
"""A release of 2 MB takes that long at 1.6 Mbit/s: a slow phone's, on the safe side."""

RECORDS_DAYS = 365.0
"""Days for which the figures of rounds are kept."""

UTILISATION = 0.6
"""Share of their cores that servers use at their busiest, so that requests need not queue for long."""
