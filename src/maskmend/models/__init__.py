"""The networks: VQGAN, bidirectional transformer, discriminators. They know no sampling and no disk."""
