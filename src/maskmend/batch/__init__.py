"""Folders of pictures filled one after the other, with a manifest."""
