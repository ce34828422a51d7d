"""Folders of pictures for tests of fine-tuning."""

from pathlib import Path

from PIL import Image

from fakes import smooth_pixels


def write_photos(folder: Path, count: int, side: int = 40) -> Path:
    """Soft pictures of `side` pixels, each different, named 00.png and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(smooth_pixels(side, side + number % 3, seed=number)).save(
            folder / f"{number:02d}.png"
        )
    return folder
