"""Models of other projects, turned into model folders: docs/checkpoints.md has a recipe for each.

    files ─► convert_mage, convert_halton, ... ─► Conversion ─► write_conversion ─► model folder

`coursework` has the published coursework's on this project's own experiment.
"""
