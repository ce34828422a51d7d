"""Reading and writing files: atomic writes, folders on disk and behind URLs, temporary names, the cache
folder, and checks of file formats.
"""
