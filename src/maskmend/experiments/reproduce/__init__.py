"""The published report's experiment, measured anew: trials, tables, charts, strips of pictures, a page."""
