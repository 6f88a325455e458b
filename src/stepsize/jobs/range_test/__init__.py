"""Range tests: which learning rates are worth trying, and which one for a policy."""
