"""What a training run trains: tokenizer, transformer, or the decoder once more."""
