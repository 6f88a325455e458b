"""Batch sizes: compared at equal running time, and the largest that fits."""
