"""Shards of devices, the server, and the three places they run. The only importer of Flower and Ray."""

import os

# Before any import of flwr or ray: neither may report on its use or look for updates.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
