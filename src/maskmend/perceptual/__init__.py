"""Pretrained networks whose features metrics and losses compare, and how their weights are fetched and
read."""
