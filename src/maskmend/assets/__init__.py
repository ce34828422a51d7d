"""Files that come with the package: models and sample pictures."""

from pathlib import Path

ASSETS = Path(__file__).parent
DEFAULT = "photo"
"""The model that `default` means."""
SAMPLES = ASSETS / "samples"
PHOTOGRAPHS = ASSETS / "photographs"
