"""fedbert: a federated edge-simulation testbed for ultra-compact BERT recommenders."""

__version__ = "0.1.0"
