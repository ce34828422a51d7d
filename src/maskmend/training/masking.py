"""Which tokens are masked in training: a hole, part of which is already filled.

In decoding a hole of some shape is all masked at first, and then filled step by step. Training examples are
sampled likewise: a hole H, then its masked part M,

    |M| = max(1, ceil(gamma(u) |H|)),  u uniform in [0, 1)

at uniform positions within H. For the families `scheduled` and `bernoulli` (the coursework's: each
token masked with probability p, at least one) the hole is the whole picture, and input tokens are those of
the original; for boxes, strokes and random walks the known tokens are those of the picture with the hole
infilled before encoding, as in inference. With `guesses`, part of the pictures have a hole as in a window of
a finer level of a coarse-to-fine fill, filled with a guess of its content (`guesses`). With `window_holes`,
some holes are drawn for a picture of four times the side and cut out as one of its windows shows them:
scratches and text are wider there, and some of a stroke lies outside the view.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from maskmend.decoding.schedules import schedule_named
from maskmend.fill.crops import shrink_mask
from maskmend.fill.windows import FULLEST_GUESSED, Window, lay_windows
from maskmend.masks.generators import HOLES
from maskmend.settings import Settings
from maskmend.training.stage_config import DecoderTraining, TransformerTraining
from maskmend.training.stages.stage import to_device

FAMILIES = ("bernoulli", "scheduled", "boxes", "strokes", "random_walk", "scratches", "text", "blobs")
WHOLE = ("bernoulli", "scheduled", "whole")
"""Families whose hole is the whole picture."""
WINDOWED = {"scratches": "scratches", "text": "text", "strokes": "strokes_photo", "blobs": "blobs"}
"""Families of which `window_holes` cuts windows, and the generators that draw them for photographs."""
PICTURE = 4
"""Side of the picture that a window is cut from, in sides of the window: 256 pixels where a model sees 64."""


class Masks(NamedTuple):
    """Masks of a batch."""

    pixels: Bool[Tensor, "B 1 H W"]
    """Holes in pixels; all True where the hole is the whole token grid."""
    hole: Bool[Tensor, "B N"]
    """Tokens of the hole."""
    masked: Bool[Tensor, "B N"]
    """Tokens of the hole that are masked; the others of the hole are filled."""
    guessed: Bool[Tensor, "B"]
    """Pictures whose hole holds a guess of its content (`guesses`)."""

    def share(self, rank: int, world: int) -> "Masks":
        """Those of the pictures of process `rank` of `world`: every process draws the masks of all."""
        return Masks(*(mask[rank::world] for mask in self))

    def to(self, device: torch.device) -> "Masks":
        """The same on `device`, copied asynchronously."""
        return Masks(*(to_device(mask, device) for mask in self))


def draw_masks(
    rng: np.random.Generator, count: int, resolution: int, patch: int, options: TransformerTraining
) -> Masks:
    """Masks for `count` pictures, each of a family sampled by weight. A pure function of its arguments."""
    weights = {family: float(getattr(options, family)) for family in FAMILIES}
    return _draw(
        rng,
        count,
        resolution,
        patch,
        weights,
        schedule=options.schedule,
        bernoulli_p=options.bernoulli_p,
        guesses=options.guesses,
        window_holes=options.window_holes,
    )


def draw_holes(
    rng: np.random.Generator, count: int, resolution: int, patch: int, options: DecoderTraining
) -> Masks:
    """The same for the training of a decoder; the masked tokens are those that a transformer samples."""
    weights = {family: float(getattr(options, family)) for family in ("whole", *FAMILIES[2:])}
    guesses, window_holes = options.guesses, options.window_holes
    return _draw(rng, count, resolution, patch, weights, guesses=guesses, window_holes=window_holes)


def draw_weighted(
    rng: np.random.Generator, count: int, resolution: int, patch: int, weights: dict[str, float]
) -> Masks:
    """The same of families of these weights."""
    return _draw(rng, count, resolution, patch, weights)


def _draw(
    rng: np.random.Generator,
    count: int,
    resolution: int,
    patch: int,
    weights: dict[str, float],
    *,
    schedule: str = "cosine",
    bernoulli_p: float = 1.0,
    guesses: float = 0.0,
    window_holes: float = 0.0,
) -> Masks:
    shares, names = np.array(list(weights.values())), list(weights)
    gamma = schedule_named(schedule)
    side = resolution // patch
    pixels = np.zeros((count, 1, resolution, resolution), dtype=bool)
    hole = np.ones((count, side * side), dtype=bool)
    masked = np.zeros((count, side * side), dtype=bool)
    guessed = np.zeros(count, dtype=bool)
    cut = WindowHoles(rng, resolution)
    for i, family in enumerate(rng.choice(len(names), size=count, p=shares / shares.sum())):
        name = names[int(family)]
        if guesses > 0 and rng.random() < guesses:
            guessed[i] = True
            pixels[i, 0] = window_hole(rng, resolution)
            hole[i] = _touched(pixels[i, 0], patch)
            _mask(masked[i], hole[i], gamma, rng)
            continue
        pixels[i] = name in WHOLE
        if name == "bernoulli":
            masked[i] = rng.random(side * side) < bernoulli_p
            if not masked[i].any():
                masked[i, rng.integers(side * side)] = True
            continue
        if name not in WHOLE:
            if window_holes > 0 and name in WINDOWED and rng.random() < window_holes:
                pixels[i, 0] = cut.cut(WINDOWED[name])
            else:
                pixels[i, 0] = HOLES[name](rng, resolution, resolution)
            hole[i] = _touched(pixels[i, 0], patch)
        _mask(masked[i], hole[i], gamma, rng)
    return Masks(*(torch.from_numpy(mask) for mask in (pixels, hole, masked, guessed)))


def _touched(pixels: np.ndarray, patch: int) -> np.ndarray:
    """The tokens (N,) of which any pixel lies in the hole."""
    side = len(pixels) // patch
    return pixels.reshape(side, patch, side, patch).any((1, 3)).reshape(-1)


def _mask(
    masked: np.ndarray, hole: np.ndarray, gamma: Callable[[float], float], rng: np.random.Generator
) -> None:
    inside = np.flatnonzero(hole)
    number = max(1, int(np.ceil(gamma(float(rng.random())) * len(inside))))
    masked[rng.permutation(inside)[:number]] = True


def window_hole(rng: np.random.Generator, side: int) -> Bool[np.ndarray, "R R"]:
    """The part of a wide hole that one window of a finer level shows: a rectangle of a quarter of the window
    to all of it, each of whose sides lies at the window's border half of the time."""
    spans = []
    for _ in range(2):
        length = int(rng.integers(side // 2, side + 1))
        start = int(rng.integers(side - length + 1))
        stop = side if rng.random() < 0.5 else start + length
        spans.append(slice(0 if rng.random() < 0.5 else start, stop))
    hole = np.zeros((side, side), dtype=bool)
    hole[spans[0], spans[1]] = True
    return hole


class WindowHoles:
    """Holes as windows show them: of each kind, those of one mask for a picture of `PICTURE` times the side.

    The windows that `cut` shows follow each other in random order. One mask serves a whole batch, because
    drawing it takes as long as the training step of a picture.
    """

    def __init__(self, rng: np.random.Generator, side: int) -> None:
        self.rng, self.side = rng, side
        self._masks: dict[str, tuple[np.ndarray, list[Window]]] = {}

    def cut(self, kind: str) -> Bool[np.ndarray, "R R"]:
        """The part of a hole of this kind (`HOLES`) that one of the windows that fill it shows."""
        if not self._masks.get(kind, (None, []))[1]:
            self._masks[kind] = self._laid(kind)
        mask, windows = self._masks[kind]
        window = windows.pop(int(self.rng.integers(len(windows))))
        return shrink_mask(mask[window.box.slices], (self.side, self.side))

    def _laid(self, kind: str) -> tuple[np.ndarray, list[Window]]:
        mask = HOLES[kind](self.rng, PICTURE * self.side, PICTURE * self.side)
        context = Settings().context
        return mask, lay_windows(mask, self.side, context=context, most=512, fullest=FULLEST_GUESSED)
