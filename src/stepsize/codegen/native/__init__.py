"""Code that trains with a strategy and needs nothing of ours."""
