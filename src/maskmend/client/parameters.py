"""The parameters of a request, for type checkers and editors.

They are repeated here, as the client imports neither the server nor the pipeline. A test compares names and
values with the OpenAPI description.
"""

from typing import Literal, TypedDict

Format = Literal["png", "jpeg", "jpg", "webp"]
"""Of pictures that come back."""


class MaskParameters(TypedDict, total=False):
    """How a mask is read."""

    invert_mask: bool
    fit_mask: bool
    mask_channel: Literal["auto", "luma", "alpha"]
    mask_threshold: float
    mask_photo_check: Literal["warn", "refuse", "off"]


class FillParameters(MaskParameters, total=False):
    """Parameters of a fill besides image, mask and guide; omitted ones take the model's default."""

    model: str
    samples: int
    seed: int
    grow: int
    steps: int
    schedule: Literal["cosine", "linear", "square", "square_root", "arccos", "cubic", "log", "exp"]
    order: Literal["confidence", "random", "halton"]
    confidence: Literal["log_probability", "probability"]
    noise: float
    choice: Literal["sample", "argmax"]
    temperature: float
    top_k: int
    top_p: float
    sweet_spot: int
    infill: Literal["grey", "mean", "nearest", "diffusion"]
    ring: int
    share: float
    seam: Literal["hard", "feather", "multiband", "poisson"]
    ranking: Literal["likelihood", "typical"]
    plain: float
    context: float
    windows: int
    detail: Literal["auto", "full"] | int
    detail_steps: int
    guide_strength: float
    label: str | int
    prompt: str
    guidance: float
    extend: str
    convert: bool
    format: Format
    quality: int
