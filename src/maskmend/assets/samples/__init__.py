"""The sample pictures that come with the package, each with a mask."""

from pathlib import Path

from maskmend.assets import SAMPLES
from maskmend.errors import DataError


def sample_pairs(folder: Path = SAMPLES) -> list[tuple[str, Path, Path]]:
    """(name, image, mask) of the shipped pictures."""
    pairs = [
        (p.stem, p, p.with_name(f"{p.stem}.mask.png"))
        for p in sorted([*folder.glob("*.png"), *folder.glob("*.jpg")])
        if ".mask" not in p.name
    ]
    if not pairs:
        raise DataError(
            f"no sample pictures in {folder}: the installation is incomplete, install maskmend again"
        )
    return pairs
