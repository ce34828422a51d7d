"""How fills stand while they are being decoded: for each image and sample the tokens still hidden, and a
picture.

A picture is drawn only when it is asked for, of the part that the model sees, at the model's size: what a
large image's whole composition would cost is spent once, at the end.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from maskmend.decoding.loop import Step
from maskmend.fill.compositing import composite
from maskmend.fill.crops import Region
from maskmend.images.picture import to_uint8
from maskmend.masks.reading import Box


@dataclass(frozen=True, kw_only=True, eq=False)
class Preview:
    """A batch after one decoding step."""

    step: Step
    regions: dict[int, Region]
    """What the model sees of each image of the batch that has a hole, by the image's place in the batch."""
    part: int
    """Holes far apart, and windows on a long one, are filled one after the other: which this step is of, from
    1."""
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
