"""The checkpoints and folder layout of the published experiment."""
