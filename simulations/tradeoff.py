"""Privacy against quality: python simulations/tradeoff.py --devices 2000 --epsilons 0.5 1 2 none."""

import sys

from fedbert.cli.main import call

if __name__ == "__main__":
    sys.exit(call("tradeoff"))
