"""In-place programs: the step of a rule, traced once and replayed without making new arrays."""
