"""How far the diffusion infill is relaxed, in PyTorch (`images.infill`) and in NumPy (`runtime.infill`)."""

RELAXATIONS = 6
"""Jacobi sweeps at each level of the pyramid; more change the fill by less than a grey level."""
