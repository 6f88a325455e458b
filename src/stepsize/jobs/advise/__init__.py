"""Advice: which strategy to train a task with."""
