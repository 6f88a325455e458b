"""The kernel: what every other floor stands on, and what knows nothing of learning rates."""
