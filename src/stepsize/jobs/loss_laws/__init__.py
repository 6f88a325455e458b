"""Loss laws: what a fitted law says of schedules that were not run."""
