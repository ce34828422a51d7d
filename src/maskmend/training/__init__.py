"""Training: one loop and one checkpoint format for all stages."""
