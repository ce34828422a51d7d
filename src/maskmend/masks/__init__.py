"""Masks: reading, random holes, fixed sets, and detecting photographs given as masks."""
