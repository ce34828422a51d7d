"""The coursework, reproduced: trials, tables, charts, strips of pictures, a page."""
