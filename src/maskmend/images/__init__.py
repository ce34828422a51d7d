"""Reading and writing pictures: colour, metadata, and smooth infill."""
