"""Comparison with other inpainting methods on photographs: `maskmend photographs`."""
