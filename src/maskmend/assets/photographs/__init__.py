"""Photographs that come with the package to be repaired, each with a mask."""
