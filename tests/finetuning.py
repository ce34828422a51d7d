"""Folders of pictures for tests of fine-tuning, and what stands in for the networks it needs."""

from pathlib import Path

from PIL import Image

from fakes import FakePerceptual, smooth_pixels


class StillPerceptual(FakePerceptual):
    """It can be moved to a device, as a network can."""

    def to(self, device: object) -> "StillPerceptual":
        return self


def write_photos(folder: Path, count: int, side: int = 40) -> Path:
    """Soft pictures of `side` pixels, each different, named 00.png and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(smooth_pixels(side, side + number % 3, seed=number)).save(
            folder / f"{number:02d}.png"
        )
    return folder
