"""The transformer at decoding time: cached keys and values, ragged batches, number formats."""
