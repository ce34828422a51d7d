"""Converts models of other projects into model folders; docs/checkpoints.md has a recipe for each.

    files ─► convert_mage, convert_halton, ... ─► Conversion ─► write_conversion ─► model folder

`coursework` converts checkpoints of the coursework, the published experiment that this project reproduces.
"""
