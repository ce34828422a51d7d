"""Data sets in tar shards: an index of byte ranges, pictures read when they are needed, tokens of them."""
