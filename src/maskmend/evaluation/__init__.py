"""Scores of results: pairs of folders, or a model on a test set."""
