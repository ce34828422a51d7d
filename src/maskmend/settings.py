"""The settings of a fill, with their defaults, in one frozen dataclass.

A model folder may have its own defaults (`model_index.json`, "defaults"), found by search on validation
pictures; arguments of a call override them.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from maskmend.config import from_dict, nearest
from maskmend.errors import ConfigError

SEAMS = ("hard", "feather", "multiband", "poisson")
"""How fill and known pixels can meet; `fill.compositing` has them."""

SCHEDULES = ("cosine", "linear", "square", "square_root", "arccos", "cubic", "log", "exp")
"""Names of `decoding.schedules`, which a test holds them to."""
ORDERS = ("confidence", "random", "halton")
CONFIDENCES = ("log_probability", "probability")
CHOICES = ("sample", "argmax")
STRATEGIES = ("grey", "mean", "nearest", "diffusion")
"""Ways to fill a hole before encoding; `images.infill` has them."""
RANKINGS = ("likelihood", "typical")
DETAILS = ("auto", "full")
"""Besides a number of levels."""
PRECISIONS = ("auto", "fp32", "bf16")
"""Number formats of decoding (`inference.precision`); not a setting of a fill, but of a loaded model."""

MOST_STEPS = 100_000
"""More than there are tokens; each has its place in a table, even where decoding ends long before."""

MOST_GUIDANCE = 100

FARTHEST = 1000
"""Largest `ring` and `context`: more than any picture is wide, and still a number to calculate with."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    steps: int = 8
    """Decoding steps; more steps cost more time and let later tokens see more of the earlier ones."""
    schedule: str = "cosine"
    """Share of the hole still masked after each step: cosine, linear, square, square_root, arccos, cubic, log
    or exp."""
    order: str = "confidence"
    """Which tokens are kept first: confidence, random or halton."""
    confidence: Literal["log_probability", "probability"] = "log_probability"
    """What order = confidence compares."""
    noise: float = 1.0
    """Weight of the annealed Gumbel noise on the confidence; 0 keeps the most confident tokens first."""
    choice: Literal["sample", "argmax"] = "sample"
    """Draw each token from its distribution, or take the most probable one."""
    temperature: float = 1.0
    """Of drawing: below 1 safer, above 1 more varied."""
    top_k: int | None = None
    """Draw among the k most probable codes only."""
    top_p: float | None = None
    """Draw among the most probable codes that sum to this probability."""
    sweet_spot: int | None = None
    """Stop after this step and take its prediction for all tokens still masked."""
    infill: str = "diffusion"
    """What stands in the hole while the known part is encoded: grey, mean, nearest or diffusion."""
    ring: int = 0
    """Width in tokens of a ring around the hole that is predicted again."""
    share: float = 0.0
    """Predict only cells that miss more than this share of their pixels; 0: every touched cell."""
    seam: str = "poisson"
    """How fill and known pixels meet: hard, feather, multiband or poisson. Known pixels never change."""
    ranking: Literal["likelihood", "typical"] = "likelihood"
    """Which of several fills is the best: the likeliest, or the one of median likelihood (typical). In wide
    holes the likeliest is the most washed-out one."""
    plain: float = 0.0
    """Roughness of the surroundings, in grey levels, up to which a hole is interpolated and not drawn, as in
    a clear sky. 0: all holes are drawn."""
    context: float = 0.75
    """Larger pictures than the model's: how much is seen around a hole in one window, as a share of its
    longer side."""
    windows: int = 64
    """Larger pictures: the most windows through which one long, thin hole is filled; 1: always one."""
    detail: str | int = "auto"
    """Wide holes in larger pictures: how far beyond the scale at which the hole fits into the model's view.
    full: up to the picture's own scale; auto: likewise, for models trained to refine a coarser fill and
    within 512 windows; a number: so many finer scales at most, 0 for none."""
    detail_steps: int = 1
    """Decoding steps at the finer scales, where a coarser fill is a guess of the content."""
    guide_strength: float = 1.0
    """How far a guide's colours take the place of the smooth infill: 1: wholly; 0: as without a guide."""
    label: str | int | None = None
    """Models with classes only: the class of what is filled, a number or a name; several with / between, or
    auto for eight, of which the likeliest fill is kept."""
    prompt: str | None = None
    """Models that keep prompts only: words for what is filled; none stands for the empty prompt."""
    guidance: float = 1.0
    """Models with classes or prompts that were trained without one too: how far the class or prompt counts
    (classifier-free guidance); 1: as it is, above 1: more, at twice the time."""

    def __post_init__(self) -> None:
        for name, known in (
            ("schedule", SCHEDULES),
            ("order", ORDERS),
            ("infill", STRATEGIES),
            ("seam", SEAMS),
            ("choice", CHOICES),
            ("confidence", CONFIDENCES),
            ("ranking", RANKINGS),
        ):
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"{name} = {value!r} is unknown{nearest(str(value), known)}")
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
        import numpy as np  # not above: `maskmend inpaint --help` tells the settings without it

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
