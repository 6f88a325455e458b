"""Landscapes: many starts of a test function at once, and the gradient flow beside them."""
