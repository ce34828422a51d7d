"""The networks: VQGAN, transformers, discriminators. They are independent of sampling and disk."""
