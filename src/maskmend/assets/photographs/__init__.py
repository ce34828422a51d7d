"""Sample photographs, each with a mask."""
