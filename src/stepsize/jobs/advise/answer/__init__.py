"""What a search says of its answer: how sure it is, why, beside what, and how to repeat it."""
