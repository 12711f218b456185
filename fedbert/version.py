"""The version, apart so that a file may read it without importing the package's door."""

__version__ = "0.8.0"
