"""The command line."""

from maskmend.cli.group import main

__all__ = ["main"]
