"""Model folders: configuration and weights on disk, shipped models, the Hub."""
