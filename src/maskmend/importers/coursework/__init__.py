"""Checkpoints, folder layout and settings of the published experiment, called `coursework` in code."""
