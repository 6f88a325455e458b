"""Callbacks that search before they drive: the rate found inside the training loop of a trainer."""
