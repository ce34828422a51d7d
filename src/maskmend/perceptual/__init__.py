"""Pretrained networks whose features metrics and losses compare, and their weights."""
