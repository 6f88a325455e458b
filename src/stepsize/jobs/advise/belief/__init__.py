"""What a search believes: where the best rates lie, and how good every family of strategies gets there."""
