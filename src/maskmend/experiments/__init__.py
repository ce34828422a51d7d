"""Published comparisons: the reproduction and the ablation."""
