"""Scores a folder of results against a folder of ground truth; the results may come from any tool.

Files are paired by name (`pairing`). Every score has a bootstrap interval, and the report contains hashes of
the compared images and masks, so that two reports on the same data can be recognised. The scores are
computed in `maskmend.metrics`, one file each.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskmend.choices import choice_error
from maskmend.errors import ConfigError, pip_install
from maskmend.evaluation.pairing import Comparison, pair_folders
from maskmend.evaluation.report import METRICS, STEADY, Report
from maskmend.images.tensors import to_tensor
from maskmend.masks.sets import masks_hash
from maskmend.metrics import pixels
from maskmend.metrics.bootstrap import Interval, mean_interval
from maskmend.metrics.discriminability import discriminability
from maskmend.metrics.diversity import diversity
from maskmend.metrics.features import (
    FeatureFunction,
    batches,
    cached_features,
    content_hash,
    extract_features,
)
from maskmend.metrics.fid import fid_interval
from maskmend.metrics.kid import kid_interval
from maskmend.perceptual.inception import Inception
from maskmend.perceptual.lpips import Lpips, NetName
from maskmend.progress import Progress, StageProgress

Distance = Callable[[Float[Tensor, "B 3 H W"], Float[Tensor, "B 3 H W"]], Float[Tensor, "B"]]
Path_ = str | os.PathLike[str]

BY_MASK: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "hole_l1": pixels.hole_l1,
    "seam_l1": pixels.seam_l1,
    "seam_step": pixels.seam_step,
    "known_error": pixels.known_error,
}
"""Figures that need to know where the hole is."""

FROM_FEATURES = {"fid", "kid", "p_ids", "u_ids"}

BEST_PSNR = 100.0
"""Identical images have no finite PSNR; they enter the mean with this many dB."""


def evaluate_folders(
    results: Path_,
    truths: Path_,
    masks: Path_ | None = None,
    *,
    metrics: Sequence[str] | None = None,
    other_fills: Sequence[Path_] = (),
    invert_masks: bool = False,
    extract: FeatureFunction | None = None,
    network: str | None = None,
    distance: Distance | None = None,
    lpips_net: NetName = "alexnet",
    device: str | torch.device = "cpu",
    repeats: int = 100,
    level: float = 0.95,
    seed: int = 0,
    folds: int = 5,
    seconds_per_image: float | None = None,
    progress: StageProgress | None = None,
) -> Report:
    """Scores each image under `results` against the one of the same name under `truths`.

    Args:
        results: folder of filled images, searched recursively.
        truths: folder of the originals; those without a result are left out, as the report's notes say.
        masks: folder of masks, white = was filled; for the figures of hole, seam and known pixels.
        metrics: which of `report.METRICS` to compute; None for all that the folders given allow. FID and KID
            of a single image are left out in any case, as the report's notes say.
        other_fills: further folders of fills of the same images; for diversity.
        invert_masks: the masks are black where they were filled.
        extract: turns images into features; the published Inception network if None.
        network: what `extract` computes, the key of the feature cache; with `extract` and without this name
            nothing is cached.
        distance: LPIPS of two batches in [-1, 1]; the published one on `lpips_net` if None.
        lpips_net: network of that distance; papers compare by AlexNet's.
        device: where the networks run.
        repeats: bootstrap draws for FID and KID; figures measured image by image get at least 1,000.
        level: confidence level of the intervals.
        seed: seed of all random draws.
        folds: cross-fitting of P-IDS and U-IDS; 0 for the paper's protocol (`metrics.discriminability`).
        seconds_per_image: measured by the caller, passed through to the report.
        progress: called with (stage, done, total).

    Raises DataError if files cannot be read or do not pair up or sizes differ, ConfigError for an unknown
    metric or one whose folder is missing, WeightsError if a network is needed and not fetched.
    """
    chosen, notes = _chosen(metrics, has_masks=masks is not None, has_fills=bool(other_fills))
    if repeats < 1:
        raise ConfigError(f"repeats={repeats}: choose at least 1 bootstrap draw, better 100 or more")
    progress = progress or (lambda stage, done, total: None)
    # Missing weights are an error before any work is done
    if chosen & FROM_FEATURES and extract is None:
        extract, network = Inception.load(device=device).features, "inception"
    if chosen & {"lpips", "diversity"} and distance is None:
        distance = Lpips.load(lpips_net).to(device)

    pairs = pair_folders(
        Path(results),
        Path(truths),
        None if masks is None else Path(masks),
        [Path(folder) for folder in other_fills],
        invert_masks=invert_masks,
    )
    decided = chosen & {"p_ids", "u_ids"}
    if decided and metrics is None and len(pairs.names) < max(folds, 2):
        chosen -= decided
        notes.append(f"P-IDS and U-IDS left out: {len(pairs.names)} images are too few for {folds} folds")
    of_sets = [name for name in ("fid", "kid") if name in chosen]
    if of_sets and len(pairs.names) == 1:
        chosen -= set(of_sets)
        notes.append(f"{' and '.join(map(str.upper, of_sets))} left out: 1 image is too few")
    if "fid" in chosen and len(pairs.names) < STEADY:
        notes.append(
            f"FID over {len(pairs.names)} images is biased upwards: compare it with those of as many images "
            "only, not with published figures"
        )
    if pairs.unused_truths:
        those = "1 truth has" if pairs.unused_truths == 1 else f"{pairs.unused_truths} truths have"
        notes.append(f"{those} no result and {'was' if pairs.unused_truths == 1 else 'were'} left out")
    digests = {"results": content_hash(pairs.results), "truths": content_hash(pairs.truths)}
    if pairs.masks is not None:
        # In the order in which they were drawn, that of the truths: other suffixes may sort differently
        drawn = sorted(zip(pairs.truths.paths, pairs.masks, strict=True), key=lambda pair: pair[0])
        digests["masks"] = masks_hash(mask for _, mask in drawn)

    figures: dict[str, Interval] = {}
    known_error = None
    averaged = partial(mean_interval, repeats=max(repeats, 1000), seed=seed, level=level)
    if chosen & FROM_FEATURES:
        assert extract is not None
        rows = {}
        for name, images in (("results", pairs.results), ("truths", pairs.truths)):
            step = partial(progress, f"features of the {name}")
            if network is None:
                rows[name] = extract_features(images, extract, progress=step)
            else:
                rows[name] = cached_features(
                    images, extract, network=network, digest=digests[name], progress=step
                )
        spread = {"repeats": repeats, "seed": seed, "level": level}
        if "fid" in chosen:
            figures["fid"] = fid_interval(rows["results"], rows["truths"], **spread)
        if "kid" in chosen:
            figures["kid"] = kid_interval(rows["results"], rows["truths"], **spread)
        if chosen & {"p_ids", "u_ids"}:
            decided = discriminability(rows["results"], rows["truths"], folds=folds, seed=seed)
            for name, decisions in (("p_ids", decided.fooled), ("u_ids", decided.mistaken)):
                if name in chosen:
                    figures[name] = averaged(decisions)
    if "lpips" in chosen:
        assert distance is not None
        figures["lpips"] = averaged(_lpips(pairs, distance, device, partial(progress, "LPIPS")))
    if "diversity" in chosen:
        assert distance is not None
        figures["diversity"] = averaged(_diversity(pairs, distance, device, partial(progress, "diversity")))
    by_pixel = chosen & {"psnr", "ssim", "hole_l1", "seam_l1", "seam_step", "known_error"}
    if by_pixel:
        measured = _by_pixel(pairs, by_pixel, partial(progress, "pixels"))
        if "known_error" in measured:
            known_error = int(measured.pop("known_error").max())
        for name, values in measured.items():
            finite = values[np.isfinite(values)]
            if finite.size:
                figures[name] = averaged(finite)
            if finite.size < values.size:
                count = values.size - finite.size
                those = "1 image has" if count == 1 else f"{count} images have"
                notes.append(
                    f"{name}: {those} nothing to measure and do{'es' if count == 1 else ''} not count"
                )
    return Report(
        images=len(pairs.names),
        figures={name: figures[name] for name in METRICS if name in figures},
        known_error=known_error,
        seconds_per_image=seconds_per_image,
        digests=digests,
        settings={
            "repeats": repeats,
            "level": level,
            "seed": seed,
            "folds": folds,
            "network": network,
            "lpips_net": lpips_net,
        },
        notes=tuple(notes),
    )


def _chosen(metrics: Sequence[str] | None, *, has_masks: bool, has_fills: bool) -> tuple[set[str], list[str]]:
    """The metrics to compute, and notes on those that are left out."""
    lacking: dict[str, str] = {}
    if not has_masks:
        lacking |= dict.fromkeys(BY_MASK, "a folder of masks")
    if not has_fills:
        lacking["diversity"] = "further folders of fills of the same images"
    if metrics is None:
        chosen = set(METRICS) - set(lacking)
        if find_spec("sklearn") is None:
            return chosen - {"p_ids", "u_ids"}, [f"P-IDS and U-IDS left out: {pip_install('evaluate')}"]
        return chosen, []
    for name in metrics:
        if name not in METRICS:
            raise ConfigError(choice_error("metric", name, METRICS))
        if name in lacking:
            raise ConfigError(f"metric {name!r} needs {lacking[name]}: give it, or leave the metric out")
    return set(metrics), []


def _tensors(images: Sequence[np.ndarray], device: str | torch.device) -> Float[Tensor, "B 3 H W"]:
    return torch.cat([to_tensor(image) for image in images]).to(device)


def _lpips(
    pairs: Comparison, distance: Distance, device: str | torch.device, progress: Progress
) -> Float[np.ndarray, "N"]:
    values: list[float] = []
    with torch.inference_mode():
        for batch in batches(pairs.results, 16):
            truths = list(pairs.truths[len(values) : len(values) + len(batch)])
            values += distance(_tensors(batch, device), _tensors(truths, device)).tolist()
            progress(len(values), len(pairs.names))
    return np.array(values)


def _diversity(
    pairs: Comparison, distance: Distance, device: str | torch.device, progress: Progress
) -> Float[np.ndarray, "N"]:
    values = []
    for fills in zip(pairs.results, *pairs.others, strict=True):
        values.append(diversity(_tensors(fills, device), distance))
        progress(len(values), len(pairs.names))
    return np.array(values)


def _by_pixel(pairs: Comparison, chosen: set[str], progress: Progress) -> dict[str, Float[np.ndarray, "N"]]:
    values: dict[str, list[float]] = {name: [] for name in METRICS if name in chosen}
    for index, (result, truth) in enumerate(zip(pairs.results, pairs.truths, strict=True)):
        for name, column in values.items():
            column.append(_measure(name, result, truth, pairs.masks[index] if pairs.masks else None))
        progress(index + 1, len(pairs.names))
    return {name: np.array(column, dtype=np.float64) for name, column in values.items()}


def _measure(name: str, result: np.ndarray, truth: np.ndarray, mask: np.ndarray | None) -> float:
    if name == "psnr":
        return min(pixels.psnr(result, truth), BEST_PSNR)
    if name == "ssim":
        return pixels.ssim(result, truth)
    assert mask is not None
    return float(BY_MASK[name](result, truth, mask))
