"""Filling folders of pictures one by one, with a manifest."""
