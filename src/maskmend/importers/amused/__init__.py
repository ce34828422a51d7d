"""aMUSEd's checkpoints, as diffusers stores them."""
