"""Data sets in tar shards: an index of byte ranges, pictures read on demand, precomputed tokens."""
