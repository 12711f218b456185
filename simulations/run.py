"""Simulate a fleet: python simulations/run.py --devices 10000."""

import sys

from fedbert.cli.main import call

if __name__ == "__main__":
    sys.exit(call("run"))
