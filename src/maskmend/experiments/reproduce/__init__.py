"""The published experiment, reproduced: trials, tables, charts, strips of pictures, a page."""
