"""What reading and writing files rests on: temporary names, the cache folder, checks of file formats."""
