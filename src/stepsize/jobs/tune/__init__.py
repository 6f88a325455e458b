"""Tuning: a training loop of the user's own that finds its learning rate and then trains with it."""
