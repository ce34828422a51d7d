"""How fills stand while they are being decoded: for each image and sample the tokens still hidden, and a
picture.

A picture is drawn only when it is asked for, of the part that the model sees, at the model's size: what a
large image's whole composition would cost is spent once, at the end.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from maskmend.decoding.loop import Step
from maskmend.fill.compositing import composite
from maskmend.fill.crops import Region
from maskmend.images.picture import to_uint8
from maskmend.masks.box import Box


@dataclass(frozen=True, kw_only=True, eq=False)
class Preview:
    """A batch after one decoding step."""

    step: Step
    regions: dict[int, Region]
    """What the model sees of each image of the batch that has a hole, by the image's place in the batch."""
    part: int
    """Holes far apart, and windows on a long one, are filled each by itself: which one this step is of,
    from 1."""
    together: tuple[int, ...]
    """Those that are decoded with it, itself among them; each of them has a preview of this step."""
    parts: dict[int, int]
    """How many each of these images has."""
    seam: str
    draw: Callable
    """Pictures of token grids, given what the model sees of each one's image."""

    @property
    def samples(self) -> int:
        """Fills of each image."""
        return len(self.step.tokens) // len(self.regions)

    @property
    def last(self) -> bool:
        """Whether nothing of this part is left to be settled, in any image."""
        return not bool(self.step.masked.any())

    def box(self, image: int) -> Box:
        """Where in the image its picture lies."""
        return self.regions[image].box

    def hidden(self, image: int, sample: int = 0) -> Bool[np.ndarray, "h w"]:
        """Tokens that are still to be settled."""
        masked = self.step.masked[self._row(image, sample)]
        side = round(len(masked) ** 0.5)
        return masked.view(side, side).cpu().numpy()

    def picture(self, image: int, sample: int = 0) -> UInt8[np.ndarray, "R R 3"]:
        """What this step predicts for the whole hole, known pixels around it (the box, at the model's size).

        Slow seams are left to the end: any but "hard" is shown feathered.
        """
        region, row = self.regions[image], self._row(image, sample)
        (fill,) = self.draw(self.step.candidate[row : row + 1], [region])
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
    seam: str,
    draw: Callable,
) -> Iterator[Preview]:
    """What a decoding step of some windows looks like: one preview for each number of window among them.

    Args:
        step: over all windows, times samples.
        windows: of each its image's place in the batch, and its number in the image; image by image.
        regions: what the model sees through them.
        counts: how many windows each image has.
        seam: see `Preview`.
        draw: see `Preview`.
    """
    samples = len(step.tokens) // len(windows)
    numbers = sorted({number for _, number in windows})
    for number in numbers:
        places = [place for place, (_, other) in enumerate(windows) if other == number]
        images = [windows[place][0] for place in places]
        yield Preview(
            step=step.at([place * samples + sample for place in places for sample in range(samples)]),
            regions=dict(zip(images, (regions[place] for place in places), strict=True)),
            part=number + 1,
            together=tuple(other + 1 for other in numbers),
            parts={image: counts[image] for image in images},
            seam=seam,
            draw=draw,
        )
