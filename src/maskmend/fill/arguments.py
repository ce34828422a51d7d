"""The keyword arguments of a fill, for type checkers and editors; documented in `InpaintPipeline.__call__`.

The settings are repeated here, as a type checker cannot derive them from `Settings`; a test compares the
two.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from maskmend.fill.events import FillEvents
from maskmend.images.canvas import Length
from maskmend.images.picture import ImageLike
from maskmend.images.tensors import ValueRange
from maskmend.masks.options import Channel, PhotoCheck
from maskmend.settings import Choice, Confidence, Ranking


class SettingArguments(TypedDict, total=False):
    """Changes to the model's default `Settings`."""

    steps: int
    schedule: str
    order: str
    confidence: Confidence
    noise: float
    choice: Choice
    temperature: float
    top_k: int | None
    top_p: float | None
    sweet_spot: int | None
    infill: str
    ring: int
    share: float
    seam: str
    ranking: Ranking
    plain: float
    context: float
    windows: int
    detail: str | int
    detail_steps: int
    guide_strength: float
    label: str | int | None
    prompt: str | None
    guidance: float


class FillArguments(SettingArguments, total=False):
    """All arguments of a call besides image and mask."""

    guide: ImageLike | Sequence[ImageLike | None] | None
    extend: Mapping[str, Length] | str | None
    value_range: ValueRange | None
    convert: bool
    samples: int
    seed: int | Sequence[int]
    events: FillEvents | None
    fit_mask: bool
    invert_mask: bool
    mask_channel: Channel
    mask_threshold: float
    mask_photo_check: PhotoCheck
