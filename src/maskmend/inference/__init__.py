"""The transformer at decoding time: cached keys and values, ragged batches, number formats; and what it runs
on: devices, threads, Ray's clusters.

The package itself imports nothing: `maskmend` takes `inference.threads` from it before PyTorch is loaded.
"""
