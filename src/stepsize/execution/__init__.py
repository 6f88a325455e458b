"""Execution: where trials run, what is run again, and what is kept of them."""
