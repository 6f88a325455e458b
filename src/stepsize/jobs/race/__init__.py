"""Races: strategies against each other at equal budget, on paired seeds."""
