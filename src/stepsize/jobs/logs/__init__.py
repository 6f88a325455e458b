"""Logs of training tools: files, columns, runs, the updates that their steps count, and what jobs take of them."""
