"""maskmend: fills holes in images with masked token modelling."""

__version__ = "0.1.0"
