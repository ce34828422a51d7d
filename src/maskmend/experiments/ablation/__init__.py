"""The coursework's recipe against ours at equal size, data and compute, one ingredient at a
time."""
