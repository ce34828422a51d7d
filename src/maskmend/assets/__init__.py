"""Files that come with the package: models and sample pictures."""

from pathlib import Path

ASSETS = Path(__file__).parent
SAMPLES = ASSETS / "samples"
PHOTOGRAPHS = ASSETS / "photographs"
