"""The stages of training: tokenizer, transformer, and fine-tuning of the decoder."""
