"""Scores of a method's fills: FID, LPIPS, PSNR in the hole, known-pixel error, seconds.

All pictures are composited: known pixels from the photograph, the hole from the method. The known-pixel error
is that of the method's own output. All methods use the same bootstrap samples of photographs, so the relative
difference of two scores has a paired confidence interval.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool

from maskmend.experiments.photographs.fills import TimedFill
from maskmend.experiments.photographs.scenes import Scene
from maskmend.images.tensors import to_tensor
from maskmend.metrics.bootstrap import Interval, bootstrap_draws, centred_interval, mean_interval
from maskmend.metrics.features import FeatureFunction, cached_features
from maskmend.metrics.fid import fid_draws
from maskmend.metrics.pixels import hole_psnr, known_error
from maskmend.progress import Progress

MOST_DB = 60.0
"""PSNR used for a hole without any error, instead of infinity."""

Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Score:
    """The scores of one method on one kind of hole."""

    fid: Interval | None
    """None for whole photographs of different sizes, of which there are too few."""
    lpips: Interval
    psnr: Interval
    """PSNR in the hole in dB, mean over the photographs."""
    known_error: int
    """Largest change of a known pixel by the method itself, in grey levels."""
    seconds: float
    """Median over the photographs."""
    fid_draws: list[float]
    lpips_each: list[float]
    psnr_each: list[float]


@dataclass(frozen=True, kw_only=True)
class Meter:
    """Networks and settings for scoring.

    Args:
        extract: features for FID; None skips it.
        network: identifies the network of `extract`.
        distance: LPIPS of two batches.
        folder: cache of features.
        repeats: bootstrap samples for the interval of a FID.
        device: device of `distance`.
    """

    extract: FeatureFunction | None
    distance: Distance
    folder: Path
    network: str = "inception"
    repeats: int = 100
    device: str | torch.device = "cpu"

    def score(
        self,
        scenes: Sequence[Scene],
        holes: Sequence[Bool[np.ndarray, "H W"]],
        fills: Sequence[TimedFill],
        progress: Progress | None = None,
    ) -> Score:
        """The scores of these fills."""
        truths = [scene.pixels for scene in scenes]
        pictures = composited(scenes, holes, fills)
        fid, draws = None, np.zeros(0)
        if self.extract is not None:
            ours, theirs = (
                cached_features(
                    images, self.extract, network=self.network, folder=self.folder, progress=progress
                )
                for images in (pictures, truths)
            )
            value, draws = fid_draws(ours, theirs, repeats=self.repeats, seed=0)
            fid = centred_interval(value, draws)
        lpips = np.array([self._distance(*pair) for pair in zip(pictures, truths, strict=True)])
        triples = list(zip(pictures, truths, holes, strict=True))
        psnr = np.array([min(hole_psnr(*three), MOST_DB) for three in triples])
        given = [fill.pixels for fill in fills]
        return Score(
            fid=fid,
            lpips=mean_interval(lpips),
            psnr=mean_interval(psnr),
            known_error=max(known_error(*three) for three in zip(given, truths, holes, strict=True)),
            seconds=float(np.median([fill.seconds for fill in fills])),
            fid_draws=draws.tolist(),
            lpips_each=lpips.tolist(),
            psnr_each=psnr.tolist(),
        )

    @torch.inference_mode()
    def _distance(self, picture: np.ndarray, truth: np.ndarray) -> float:
        return float(self.distance(to_tensor(picture).to(self.device), to_tensor(truth).to(self.device))[0])


def composited(
    scenes: Sequence[Scene], holes: Sequence[np.ndarray], fills: Sequence[TimedFill]
) -> list[np.ndarray]:
    """Known pixels from the photographs, holes from the fills."""
    return [
        np.where(hole[:, :, None], fill.pixels, scene.pixels)
        for scene, hole, fill in zip(scenes, holes, fills, strict=True)
    ]


def fid_ratio(ours: Score, theirs: Score) -> Interval | None:
    """Relative difference of our FID to theirs (negative: ours is lower), with its interval."""
    if ours.fid is None or theirs.fid is None or theirs.fid.value == 0:
        return None
    draws = np.array(ours.fid_draws) / np.array(theirs.fid_draws) - 1
    return centred_interval(ours.fid.value / theirs.fid.value - 1, draws)


def lpips_ratio(ours: Score, theirs: Score) -> Interval | None:
    """The same for the mean LPIPS."""
    if theirs.lpips.value == 0:
        return None
    a, b = (
        bootstrap_draws(
            lambda counts, each=each: float(np.average(each, weights=counts)), len(each), repeats=1000, seed=0
        )
        for each in (ours.lpips_each, theirs.lpips_each)
    )
    return centred_interval(a[0] / b[0] - 1, a[1] / b[1] - 1)
