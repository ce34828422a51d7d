"""The basis of reading and writing files: temporary names, the cache folder, checks of file formats."""
