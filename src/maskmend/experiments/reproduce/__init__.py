"""The published experiment, measured anew: trials, tables, charts, strips of pictures, a page."""
