"""The settings of a fill, with their defaults, in one frozen dataclass.

A model folder may have its own defaults (`model_index.json`, "defaults"), found by search on validation
pictures; arguments of a call override them.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from maskmend.choices import choice_error
from maskmend.config import from_dict
from maskmend.errors import ConfigError

Schedule = Literal["cosine", "linear", "square", "square_root", "arccos", "cubic", "log", "exp"]
Order = Literal["confidence", "random", "halton"]
Confidence = Literal["log_probability", "probability"]
Choice = Literal["sample", "argmax"]
Infill = Literal["grey", "mean", "nearest", "diffusion"]
Seam = Literal["hard", "feather", "multiband", "poisson"]
Ranking = Literal["likelihood", "typical"]

SCHEDULES = get_args(Schedule)
"""Names of `decoding.schedules`; a test compares the two."""
ORDERS = get_args(Order)
CONFIDENCES = get_args(Confidence)
CHOICES = get_args(Choice)
INFILLS = get_args(Infill)
"""Ways to fill a hole before encoding; `images.infill` has them."""
SEAMS = get_args(Seam)
"""How fill and known pixels can meet; `fill.compositing` has them."""
RANKINGS = get_args(Ranking)

CHOICES_OF: dict[str, tuple[str, ...]] = {
    "schedule": SCHEDULES,
    "order": ORDERS,
    "infill": INFILLS,
    "seam": SEAMS,
    "choice": CHOICES,
    "confidence": CONFIDENCES,
    "ranking": RANKINGS,
}
"""The values of each setting that is one of a few names."""
DETAILS = ("auto", "full")
"""Besides a number of levels."""
PRECISIONS = ("auto", "fp32", "bf16")
"""Number formats of decoding (`inference.precision`); not a setting of a fill, but of a loaded model."""

MOST_STEPS = 100_000
"""More than there are tokens; each has an entry in a table, even if decoding ends long before."""

MOST_GUIDANCE = 100

FARTHEST = 1000
"""Largest `ring` and `context`: more than any picture is wide, and still a number to calculate with."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    steps: int = 8
    """Number of decoding steps. More steps take longer, and later tokens can depend on more of the earlier
    ones."""
    schedule: str = "cosine"
    """Share of the hole that is still masked after each step: cosine, linear, square, square_root, arccos,
    cubic, log or exp."""
    order: str = "confidence"
    """Which tokens are kept first: confidence, random or halton."""
    confidence: Confidence = "log_probability"
    """The measure of confidence that order = confidence uses."""
    noise: float = 1.0
    """Weight of the annealed Gumbel noise on the confidence; 0 keeps the most confident tokens first."""
    choice: Choice = "sample"
    """Sample each token from its distribution, or take the most probable one (argmax)."""
    temperature: float = 1.0
    """Sampling temperature: below 1 safer, above 1 more varied."""
    top_k: int | None = None
    """Sample from the k most probable codes only."""
    top_p: float | None = None
    """Sample from the most probable codes only, as many as it takes to reach this probability in total."""
    sweet_spot: int | None = None
    """Stop after this step and take its prediction for all tokens that are still masked."""
    infill: str = "diffusion"
    """How the hole is filled before the known part is encoded: grey, mean, nearest or diffusion."""
    ring: int = 0
    """Width in tokens of a ring around the hole that is predicted again."""
    share: float = 0.0
    """Predict only tokens of which more than this share of the pixels is missing; 0: every token that the
    hole touches."""
    seam: str = "poisson"
    """How the fill is blended with the known pixels: hard, feather, multiband or poisson. Known pixels never
    change."""
    ranking: Ranking = "typical"
    """Which of several fills is the best: the one with the median likelihood (typical), or with the highest
    (likelihood). The likeliest fill of a large hole can be a washed-out one."""
    plain: float = 0.0
    """Roughness of the surroundings, in grey levels, up to which a hole is interpolated instead of generated,
    as in a clear sky. 0: no hole is interpolated."""
    context: float = 0.75
    """For pictures larger than the model's: the context around a hole in one window, as a share of the hole's
    longer side."""
    windows: int = 64
    """For larger pictures: the maximum number of windows for one long, thin hole; 1: always a single
    window."""
    detail: str | int = "auto"
    """Wide holes in larger pictures: how far beyond the scale at which the hole fits into the model's view.
    full: up to the picture's own scale; auto: likewise, for models trained to refine a coarser fill and
    within 512 windows; a number: at most that many finer scales, 0 for none."""
    detail_steps: int = 1
    """Decoding steps at each finer scale, where the coarser fill is a guess of the content."""
    guide_strength: float = 1.0
    """How far a guide's colours replace the smooth infill: 1: completely; 0: not at all, as without a
    guide."""
    label: str | int | None = None
    """Only for models with classes: the class of the content, a number or a name. Several, separated by /, or
    auto (eight classes) are all tried, and the most likely fill is kept."""
    prompt: str | None = None
    """Only for models with stored prompts: a text that describes the content; none: the empty prompt."""
    guidance: float = 1.0
    """Scale of classifier-free guidance, for models with classes or prompts that were also trained without
    them; a class or prompt must be given. 1: no guidance; above 1: it has more influence, at twice the
    time."""

    def __post_init__(self) -> None:
        for name, known in CHOICES_OF.items():
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(choice_error(name, value, known))
        if self.steps < 1:
            raise ConfigError(f"steps = {self.steps}: give 1 or more")
        if self.steps > MOST_STEPS:
            raise ConfigError(f"steps = {self.steps}: give 1 to {MOST_STEPS}")
        if self.sweet_spot is not None and not 1 <= self.sweet_spot <= self.steps:
            raise ConfigError(
                f"sweet_spot = {self.sweet_spot}: with steps = {self.steps} give 1 to {self.steps}"
            )
        for name in ("noise", "temperature", "context", "plain"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} = {getattr(self, name)}: give a finite number, 0 or more")
        for name in ("ring", "context"):
            if getattr(self, name) > FARTHEST:
                raise ConfigError(f"{name} = {getattr(self, name)}: give 0 to {FARTHEST}")
        if self.ring < 0 or not 0 <= self.share < 1:
            raise ConfigError(f"ring = {self.ring}, share = {self.share}: give ring >= 0 and 0 <= share < 1")
        if self.detail not in DETAILS and not (isinstance(self.detail, int) and self.detail >= 0):
            raise ConfigError(f"detail = {self.detail!r}: give auto, full, or a number of levels, 0 or more")
        if not 1 <= self.detail_steps <= MOST_STEPS:
            raise ConfigError(f"detail_steps = {self.detail_steps}: give 1 to {MOST_STEPS}")
        if not 0 <= self.guide_strength <= 1:
            raise ConfigError(f"guide_strength = {self.guide_strength}: give 0 to 1")
        if not 0 <= self.guidance <= MOST_GUIDANCE:
            raise ConfigError(f"guidance = {self.guidance}: give 0 to {MOST_GUIDANCE}")
        if self.windows < 1:
            raise ConfigError(f"windows = {self.windows}: give 1 or more")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k = {self.top_k}: give 1 or more, or leave it out")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(
                f"top_p = {self.top_p}: give a probability above 0 and up to 1, or leave it out"
            )

    def changed(self, /, **changes: Any) -> "Settings":
        """These settings with `changes`. Raises ConfigError on an unknown name or a value of another type."""
        import numpy as np  # not at the top: `maskmend inpaint --help` lists the settings without it

        plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in changes.items()}
        return from_dict(Settings, asdict(self) | plain)

    def decoding(self) -> dict[str, Any]:
        """The arguments of `decoding.decode` among the settings."""
        names = (
            "steps", "schedule", "order", "confidence", "noise",
            "choice", "temperature", "top_k", "top_p", "sweet_spot",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


DEFAULTS = Settings()
"""The defaults of every setting, where a model does not bring its own."""
