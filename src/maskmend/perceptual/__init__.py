"""Pretrained networks that pictures are compared through, and how their weights are fetched and read."""
