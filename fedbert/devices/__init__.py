"""Phones: profiles, fleet, availability, network, and what the model costs them."""
