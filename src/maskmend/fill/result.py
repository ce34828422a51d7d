"""The result of a fill: pictures, tokens, uncertainty, likelihood, decoding steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image

from maskmend.decoding.loop import Step
from maskmend.errors import ConfigError
from maskmend.fill.crops import Region
from maskmend.fill.notebook import html_of, png_of
from maskmend.images.picture import Picture, pil_from
from maskmend.images.writing import save_image
from maskmend.seeds import whole
from maskmend.settings import Settings


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Inpainted:
    """The fills of one image; S samples, an h x w grid of tokens."""

    source: Picture
    """The original picture."""
    mask: Bool[np.ndarray, "H W"]
    """True where it was filled."""
    pictures: tuple[Picture, ...]
    """The filled pictures, with the source's alpha, profile and EXIF."""
    tokens: Int[np.ndarray, "S h w"]
    """The tokens of each sample; of several regions, one square grid below the other."""
    hole: Bool[np.ndarray, "h w"]
    """Tokens that were predicted."""
    uncertainty: Float[np.ndarray, "H W"]
    """Entropy in nats of the first step's prediction, with the whole hole masked; 0 at known pixels."""
    log_likelihood: Float[np.ndarray, "S"]
    """Mean log-probability of a hole token when it was kept, in nats; higher is likelier."""
    seeds: tuple[int, ...]
    """The seed of each sample."""
    history: Sequence[Step]
    """State after each decoding step, of the S samples; `InpaintPipeline.draw_step` makes a picture of it.
    Regions are listed one after the other: tokens of later regions are all masked."""
    regions: tuple[Region, ...]
    """What the model saw: one region for each hole far from the others, or several that overlap where it is
    long and thin; none when the mask was empty."""
    settings: Settings
    note: str | None = None
    """What the caller should know, such as that the mask was empty, or the picture is unlike the training
    data."""
    unfamiliar: float | None = None
    """Distance of the known part of the picture from the training data, relative to the limit: above 1 it is
    unlike them (`familiarity`). None for a model without a domain, or if too little is known."""

    def __repr__(self) -> str:
        height, width = self.mask.shape
        share = 100 * float(self.mask.mean())
        seeds = ", ".join(map(str, self.seeds))
        return f"<Inpainted {width} x {height}, {share:.1f} % filled, seeds {seeds}>"

    def _repr_png_(self) -> bytes:
        return png_of(self)

    def _repr_html_(self) -> str | None:
        return html_of(self)

    @property
    def converted(self) -> tuple[str, ...]:
        """What was converted as the picture was read, such as "16 bits a channel to 8" (`convert`)."""
        return self.source.converted

    @property
    def region(self) -> Region | None:
        """The one region; None when the mask was empty. Raises ConfigError when there are several."""
        if len(self.regions) > 1:
            raise ConfigError(f"this fill has {len(self.regions)} regions, not one: use `regions`")
        return self.regions[0] if self.regions else None

    @property
    def images(self) -> list[Image.Image]:
        """The filled pictures as PIL images, with alpha, and colour profile and EXIF in their `info`."""
        return [pil_from(picture) for picture in self.pictures]

    @property
    def best(self) -> int:
        """Index of the sample that `settings.ranking` puts first; the earliest of equals."""
        return best_of(self.log_likelihood, self.settings.ranking)

    def save(self, path: str | Path, sample: int | None = None) -> None:
        """Writes a sample (the best if None) with the metadata of the source: see `save_image`.

        Raises ConfigError for a sample that does not exist.
        """
        save_image(self.pictures[self.best if sample is None else checked_sample(self, sample)], path)


def best_of(log_likelihood: Float[np.ndarray, "S"], ranking: str) -> int:
    """Index of the sample that `ranking` puts first; the earliest of equals."""
    if ranking == "typical":
        # Of an even number the lower of the two in the middle: both are as far from the median, so that
        # rounding, which depends on the batch, would decide.
        middle = np.sort(log_likelihood)[(len(log_likelihood) - 1) // 2]
        return int(np.argmax(log_likelihood == middle))
    return int(np.argmax(log_likelihood))


def checked_sample(result: Inpainted, sample: object) -> int:
    """The index of one of the result's samples. Raises ConfigError for one that does not exist."""
    last, number = len(result.pictures) - 1, whole(sample)
    if number is None or not 0 <= number <= last:
        those = "1 sample, give 0" if last == 0 else f"{last + 1} samples, give 0 to {last}"
        raise ConfigError(f"sample = {sample!r}: this fill has {those}")
    return number


def joined_notes(*notes: str | None) -> str | None:
    """Several notes as one line; None without any."""
    return "; ".join(note for note in notes if note) or None


def untouched(picture: Picture, mask: np.ndarray, seeds: tuple[int, ...], settings: Settings) -> Inpainted:
    """The result for an empty mask: the unchanged picture, and a note."""
    return Inpainted(
        source=picture,
        mask=mask,
        pictures=(picture,) * len(seeds),
        tokens=np.zeros((len(seeds), 0, 0), dtype=np.int64),
        hole=np.zeros((0, 0), dtype=bool),
        uncertainty=np.zeros(mask.shape, dtype=np.float32),
        log_likelihood=np.zeros(len(seeds), dtype=np.float32),
        seeds=seeds,
        history=(),
        regions=(),
        settings=settings,
        note="the mask is empty: nothing to fill, the image is returned unchanged",
    )
