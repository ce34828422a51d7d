"""Masks: reading them, random holes, fixed sets, and whether one looks like a photograph."""
