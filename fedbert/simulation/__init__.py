"""A whole run, from settings to the result that reports are made of."""

from fedbert.simulation.simulate import run

__all__ = ["run"]
