"""How long a test waits for another process before it calls it hung."""

HUNG = 900
"""Seconds, whatever the process does: none takes 60 on a quiet machine, and a busy one may be ten times slower."""
