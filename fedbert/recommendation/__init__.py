"""Recommendation: worlds (catalogue, users, sessions), the integer scorer, clicks and ranking metrics."""
