"""Adapters: our policies in other people's training loops."""
