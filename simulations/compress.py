"""Compress a teacher into an int8 student on public text: python simulations/compress.py --output FOLDER."""

import sys

from fedbert.cli.main import call

if __name__ == "__main__":
    sys.exit(call("compress"))
