"""The vectorised engine: many replicas of one model, trained at once."""
