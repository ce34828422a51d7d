"""Checkpoints, folder layout and settings of the coursework, the published experiment that this project
reproduces.
"""
