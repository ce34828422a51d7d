"""Pictures in and out: reading, writing, colour, metadata, and smooth infill."""
