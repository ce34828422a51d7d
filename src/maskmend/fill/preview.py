"""The state of fills during decoding: for each image and sample the tokens still masked, and a picture.

A picture is decoded only on request, of the square that the model sees and at the model's resolution, as
compositing a large image in each step would take too long.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from maskmend.decoding.loop import Step
from maskmend.fill.compositing import composite
from maskmend.fill.crops import Region
from maskmend.images.tensors import to_uint8
from maskmend.masks.box import Box


@dataclass(frozen=True, kw_only=True, eq=False)
class Preview:
    """A batch after one decoding step."""

    step: Step
    regions: dict[int, Region]
    """The region of each image with a hole, by the image's index in the batch."""
    window: int
    """The number of the window of this step, from 1: distant holes, and parts of a long one, are filled
    separately."""
    concurrent: tuple[int, ...]
    """Numbers of the windows that are decoded in the same batch, this one included; each has a preview of
    this step."""
    windows: dict[int, int]
    """Number of windows of each of these images."""
    finer: dict[int, int]
    """How many windows at finer scales follow for each fill of each of these images."""
    seam: str
    decode_pictures: Callable
    """Decodes token grids to pictures, given what the model sees of each one's image."""

    @property
    def samples(self) -> int:
        """Fills of each image."""
        return len(self.step.tokens) // len(self.regions)

    @property
    def last(self) -> bool:
        """Whether all tokens of this window are unmasked in every image."""
        return not bool(self.step.masked.any())

    def box(self, image: int) -> Box:
        """Where in the image its picture lies."""
        return self.regions[image].box

    def masked(self, image: int, sample: int = 0) -> Bool[np.ndarray, "h w"]:
        """Tokens that are still masked."""
        masked = self.step.masked[self._row(image, sample)]
        side = round(len(masked) ** 0.5)
        return masked.view(side, side).cpu().numpy()

    def picture(self, image: int, sample: int = 0) -> UInt8[np.ndarray, "R R 3"]:
        """What this step predicts for the whole hole, known pixels around it (the box, at the model's size).

        Slow seams are left to the end: any but "hard" is shown feathered.
        """
        region, row = self.regions[image], self._row(image, sample)
        (fill,) = self.decode_pictures(self.step.candidate[row : row + 1], [region])
        seam = "hard" if self.seam == "hard" else "feather"
        return composite(to_uint8(region.image), fill, region.mask[0, 0].cpu().numpy(), seam=seam)

    def _row(self, image: int, sample: int) -> int:
        return list(self.regions).index(image) * self.samples + sample


def previews(
    step: Step,
    windows: Sequence[tuple[int, int]],
    regions: Sequence[Region],
    *,
    counts: Sequence[int],
    finer: Sequence[int],
    seam: str,
    decode_pictures: Callable,
) -> Iterator[Preview]:
    """The previews of a decoding step of some windows, one for each window number among them.

    Args:
        step: over all windows, times samples.
        windows: of each its image's place in the batch, and its number in the image; image by image.
        regions: what the model sees through them.
        counts: how many windows each image has.
        finer: how many windows at finer scales follow for each of its fills.
        seam: see `Preview`.
        decode_pictures: see `Preview`.
    """
    samples = len(step.tokens) // len(windows)
    numbers = sorted({number for _, number in windows})
    for number in numbers:
        places = [place for place, (_, other) in enumerate(windows) if other == number]
        images = [windows[place][0] for place in places]
        yield Preview(
            step=step.at([place * samples + sample for place in places for sample in range(samples)]),
            regions=dict(zip(images, (regions[place] for place in places), strict=True)),
            window=number + 1,
            concurrent=tuple(other + 1 for other in numbers),
            windows={image: counts[image] for image in images},
            finer={image: finer[image] for image in images},
            seam=seam,
            decode_pictures=decode_pictures,
        )
