"""The folder for what can be fetched or computed again: metric weights, features of images."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`MASKMEND_CACHE`, else `XDG_CACHE_HOME`/maskmend, else ~/.cache/maskmend. Not created here."""
    if own := os.environ.get("MASKMEND_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "maskmend"
    return Path.home() / ".cache" / "maskmend"
