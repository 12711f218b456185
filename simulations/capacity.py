"""Plan a large fleet: python simulations/capacity.py --devices 8400000 --from runs/NAME."""

import sys

from fedbert.cli.main import call

if __name__ == "__main__":
    sys.exit(call("capacity"))
