"""A trial: one way of filling, scored on a fixed set of images and holes. Trials are cached on disk.

    settings ─► fills of all images ─► composited, uncomposited and tokens-alone pictures ─► FID, LPIPS, ...

The name of a trial's file is a hash of everything that determines its scores: weights, images, masks,
settings, seed, bootstrap draws, the metrics' networks, and the pixels of the first batch, in place of a
version of the code. So a stopped experiment is resumed, and a changed model is measured again. Nearly all of
the time is spent on Inception features, so each FID is measured only where it is shown.

All trials use the same bootstrap samples. The difference of two FIDs therefore has an interval of its own,
much narrower than the two intervals suggest, as common contributions (truths, known pixels) cancel.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from maskmend.experiments.reproduce.dataset import TestSet
from maskmend.images.tensors import to_tensor
from maskmend.masks.sets import masks_hash
from maskmend.metrics.bootstrap import Interval, centred_interval, mean_interval
from maskmend.metrics.features import FeatureFunction, cached_features, content_hash, extract_features
from maskmend.metrics.fid import fid_draws
from maskmend.metrics.pixels import hole_l1, known_error, seam_l1
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.hashes import model_hash
from maskmend.progress import StageProgress
from maskmend.settings import Settings
from maskmend.storage.files import json_bytes, write_files

BATCH = 32
FORMAT = 3
"""Raised when what a trial measures changes, so that older files are not used."""

Picture = UInt8[np.ndarray, "H W 3"]
Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Measure = Literal["composited", "uncomposited", "tokens_alone"]
MEASURES: tuple[Measure, ...] = ("composited", "uncomposited", "tokens_alone")
BOTH: tuple[Measure, ...] = MEASURES[:2]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one way of filling scored."""

    composited: Interval | None
    """FID of known pixels from the image and the hole from the fill: what a user gets; None if not asked."""
    uncomposited: Interval | None
    """FID with every pixel from the decoder, which may see the known ones; None if not asked."""
    tokens_alone: Interval | None
    """FID with every pixel from the decoder, shown nothing but the tokens: the coursework's
    protocol."""
    lpips: Interval
    """Of the composited pictures; of the reconstruction, of the whole."""
    hole_l1: float
    """Mean absolute difference in the hole, of 1."""
    seam_l1: float
    """The same in a band around the hole's edge."""
    known_error: int
    """Largest change of a known pixel, in grey levels."""
    seconds_per_image: float
    draws: dict[str, list[float]]
    """The bootstrap's FIDs by the names of `MEASURES`, in the same order of drawn images in every trial."""
    lpips_each: list[float]
    """LPIPS of each image."""

    def fid(self, by: Measure) -> Interval:
        """One of the FIDs, which must have been asked for."""
        chosen: Interval | None = getattr(self, by)
        assert chosen is not None, f"the {by} FID was not asked for"
        return chosen

    @staticmethod
    def from_json(content: dict[str, Any]) -> "Trial":
        """Raises TypeError or KeyError for what is no trial."""
        intervals = (*MEASURES, "lpips")
        read = {name: content[name] and Interval(**content[name]) for name in intervals}
        merged: dict[str, Any] = content | read
        return Trial(**merged)


def difference(a: Trial, b: Trial, by: Measure, than: Measure | None = None) -> Interval:
    """FID of `a` less that of `b`, with the interval of the difference over the images both drew.

    `than` is the FID of `b` where it is another than that of `a`.
    """
    than = than or by
    gaps = np.array(a.draws[by]) - np.array(b.draws[than])
    return centred_interval(a.fid(by).value - b.fid(than).value, gaps)


def lpips_difference(a: Trial, b: Trial) -> Interval:
    """Mean LPIPS of `a` less that of `b`, image by image, with its interval."""
    return mean_interval(np.array(a.lpips_each) - np.array(b.lpips_each))


def tied(a: Trial, b: Trial, by: Measure) -> bool:
    """Whether two FIDs differ by less than the confidence interval of their difference."""
    gap = difference(a, b, by)
    return gap.low <= 0 <= gap.high


@dataclass(kw_only=True, eq=False)
class TrialRunner:
    """Measures ways of filling the holes of one test set.

    Args:
        data: the test set.
        pipe: the model.
        extract: features for FID.
        distance: LPIPS of two batches.
        folder: where trials are kept.
        network: what `extract` computes; with it the truths' features are taken from the cache.
        distance_network: what `distance` computes; another one is another trial.
        repeats: bootstrap draws of an interval.
        seed: image i is filled with seed + i.
    """

    data: TestSet
    pipe: InpaintPipeline
    extract: FeatureFunction
    distance: Distance
    folder: Path
    network: str | None = None
    distance_network: str | None = None
    repeats: int = 100
    seed: int = 0
    truths: Float[np.ndarray, "N D"] = field(init=False)

    def __post_init__(self) -> None:
        if self.network is None:
            self.truths = extract_features(self.data.images, self.extract)
        else:
            self.truths = cached_features(self.data.images, self.extract, network=self.network)
        self._scored: dict[str, tuple[Interval, list[float]]] = {}
        self._about = {
            "format": FORMAT,
            "network": self.network,
            "distance_network": self.distance_network,
            "images": content_hash(self.data.images),
            "masks": content_hash(self.data.masks),
            "repeats": self.repeats,
            "seed": self.seed,
        }
        self._model = model_hash(self.pipe.tokenizer, self.pipe.transformer)
        self._first: dict[str, str] = {}

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of images, masks (as their manifest has it) and model."""
        return {"images": self._about["images"], "masks": masks_hash(self.data.masks), "model": self._model}

    def first(self, count: int | None) -> "TrialRunner":
        """The same over the first `count` images; None: all."""
        if count is None or count >= len(self.data.images):
            return self
        return replace(self, data=self.data.first(count))

    def measure(
        self, progress: StageProgress | None = None, *, by: Sequence[Measure] = BOTH, **changes: Any
    ) -> Trial:
        """The trial of the model's default settings with `changes`; the FIDs in `by` are measured."""
        settings = self._settings(changes)
        about = self._key(settings)
        return self._cached(about, by, lambda missing: self._fill(settings, missing, progress))

    def baseline(
        self,
        name: str,
        fill: Callable[[Picture, Bool[np.ndarray, "H W"]], Picture],
        progress: StageProgress | None = None,
        *,
        identity: dict[str, str] | None = None,
    ) -> Trial:
        """The trial of another method, `fill(image, mask)`; `name` and `identity` determine its fills."""

        def work(missing: Sequence[Measure]) -> Trial:
            start = time.perf_counter()
            drawn = []
            for image, mask in zip(self.data.images, self.data.masks, strict=True):
                drawn.append(fill(image, mask))
                if progress:
                    progress("filling", len(drawn), len(self.data.images))
            return self._score({"composited": drawn}, drawn, time.perf_counter() - start, progress)

        return self._cached({"baseline": name, **(identity or {})}, ("composited",), work)

    def reconstruction(self, progress: StageProgress | None = None) -> Trial:
        """Whole images through the tokenizer and back: the lower bound of an uncomposited result."""

        def work(missing: Sequence[Measure]) -> Trial:
            start = time.perf_counter()
            drawn = [image for batch in self._batches(self.data.images) for image in self._reconstruct(batch)]
            return self._score({"uncomposited": drawn}, drawn, time.perf_counter() - start, progress)

        first = content_hash(self._reconstruct(self.data.images[:BATCH]))
        about = {"model": self._model, "reconstruction": True, "first": first}
        return self._cached(about, ("uncomposited",), work)

    def left(self, ways: Sequence[tuple[dict[str, Any], Sequence[Measure]]]) -> tuple[int, int]:
        """How many of these (changes, FIDs) are not measured yet: ways of filling, and FIDs in all."""
        wanted: dict[str, set[Measure]] = {}
        for changes, by in ways:
            settings = self._settings(changes)
            path = self._path(self._key(settings))
            wanted.setdefault(str(path), set()).update(by)
        missing = [by - self._measured(Path(path)) for path, by in wanted.items()]
        return sum(bool(by) for by in missing), sum(map(len, missing))

    def pace(self) -> tuple[float, float]:
        """Seconds an image takes here: its features, and its fill at default settings."""
        images, masks = list(self.data.images[:BATCH]), list(self.data.masks[:BATCH])
        spent = []
        for work in (lambda: extract_features(images, self.extract), lambda: self.pipe(images, masks)):
            work()  # the first call also prepares the network
            start = time.perf_counter()
            work()
            spent.append((time.perf_counter() - start) / len(images))
        return spent[0], spent[1]

    @torch.inference_mode()
    def _reconstruct(self, images: Sequence[Picture]) -> list[Picture]:
        tokens = self.pipe.tokenizer.encode(self._tensor(images))
        return [np.asarray(image) for image in self.pipe.draw_tokens(tokens.cpu().numpy())]

    def _fill(self, settings: Settings, by: Sequence[Measure], progress: StageProgress | None) -> Trial:
        images, masks = self.data.images, self.data.masks
        composited: list[Picture] = []
        whole: dict[str, list[Picture]] = {"uncomposited": [], "tokens_alone": []}
        spent = 0.0
        changes = asdict(settings)
        for start in range(0, len(images), BATCH):
            rows = slice(start, start + BATCH)
            seeds = [self.seed + start + n for n in range(len(images[rows]))]
            begin = time.perf_counter()
            results = self.pipe(list(images[rows]), list(masks[rows]), seed=seeds, **changes)
            spent += time.perf_counter() - begin
            composited += [result.pictures[0].pixels for result in results]
            for result in results:
                for name, regions in (("uncomposited", result.regions), ("tokens_alone", None)):
                    if name in by:
                        tokens = result.tokens
                        drawn = self.pipe.draw_tokens(tokens, regions) if tokens.size else result.images
                        whole[name].append(np.asarray(drawn[0]))
            if progress:
                progress("filling", len(composited), len(images))
        pictures = {"composited": composited, **whole}
        return self._score({name: pictures[name] for name in by}, composited, spent, progress)

    def _score(
        self,
        by: dict[str, list[Picture]],
        composited: list[Picture],
        seconds: float,
        progress: StageProgress | None,
    ) -> Trial:
        """`by`: the pictures of each FID asked for; `composited`: those of all other figures."""
        images, masks = self.data.images, self.data.masks
        fids = {name: self._fid(pictures, progress) for name, pictures in by.items()}
        apart = [
            self.distance(self._tensor(ours), self._tensor(truth)).cpu().numpy()
            for ours, truth in zip(self._batches(composited), self._batches(images), strict=True)
        ]
        each = np.concatenate(apart).astype(np.float64)
        triples = list(zip(composited, images, masks, strict=True))
        return Trial(
            **{name: fids[name][0] if name in fids else None for name in MEASURES},
            lpips=mean_interval(each),
            hole_l1=float(np.nanmean([hole_l1(ours, truth, mask) for ours, truth, mask in triples])),
            seam_l1=float(np.nanmean([seam_l1(ours, truth, mask) for ours, truth, mask in triples])),
            known_error=int(max(known_error(ours, truth, mask) for ours, truth, mask in triples)),
            seconds_per_image=seconds / len(images),
            draws={name: draws for name, (_, draws) in fids.items()},
            lpips_each=each.tolist(),
        )

    def _fid(self, images: Sequence[Picture], progress: StageProgress | None) -> tuple[Interval, list[float]]:
        """FID with its interval and draws; of pictures scored before (another setting, no change) at once."""
        digest = content_hash(images)
        if digest not in self._scored:
            step = None if progress is None else lambda done, total: progress("features", done, total)
            rows = extract_features(images, self.extract, progress=step)
            value, draws = fid_draws(rows, self.truths, repeats=self.repeats, seed=0)
            self._scored[digest] = centred_interval(value, draws), draws.tolist()
        return self._scored[digest]

    def _batches(self, images: Sequence[Picture]) -> list[Sequence[Picture]]:
        return [images[start : start + BATCH] for start in range(0, len(images), BATCH)]

    def _tensor(self, images: Sequence[Picture]) -> torch.Tensor:
        return torch.cat([to_tensor(image) for image in images]).to(self.pipe.device)

    def _cached(
        self, about: dict[str, Any], by: Sequence[Measure], work: Callable[[Sequence[Measure]], Trial]
    ) -> Trial:
        path = self._path(about)
        found = self._read(path)
        missing: list[Measure] = [name for name in by if name not in (found.draws if found else ())]
        if found is not None and not missing:
            return found
        trial = work(missing)
        if found is not None:
            trial = replace(
                found,
                **{name: getattr(trial, name) or getattr(found, name) for name in MEASURES},
                draws=found.draws | trial.draws,
            )
        write_files({path: json_bytes({"about": self._about | about, "trial": asdict(trial)})})
        return trial

    def _settings(self, changes: dict[str, Any]) -> Settings:
        """The model's defaults with `changes`. Of the one fill there is nothing to rank, so the ranking stays
        the one under which trials are stored."""
        return self.pipe.defaults.changed(**{"ranking": "likelihood"} | changes)

    def _key(self, settings: Settings) -> dict[str, Any]:
        """What determines the fills with these settings: the model, the settings, and the code, represented
        by the pixels of the first batch's fills."""
        about: dict[str, Any] = {"model": self._model, "settings": asdict(settings)}
        text = json.dumps(about, sort_keys=True)
        if text not in self._first:
            images, masks = list(self.data.images[:BATCH]), list(self.data.masks[:BATCH])
            seeds = [self.seed + n for n in range(len(images))]
            results = self.pipe(images, masks, seed=seeds, **asdict(settings))
            self._first[text] = content_hash([result.pictures[0].pixels for result in results])
        return about | {"first": self._first[text]}

    def _path(self, about: dict[str, Any]) -> Path:
        key = hashlib.sha256(json.dumps(self._about | about, sort_keys=True).encode()).hexdigest()[:24]
        return self.folder / f"{key}.json"

    def _read(self, path: Path) -> Trial | None:
        """The trial of that file; None where there is none, or it is damaged."""
        try:
            return Trial.from_json(json.loads(path.read_text(encoding="utf-8"))["trial"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _measured(self, path: Path) -> set[str]:
        found = self._read(path)
        return set() if found is None else set(found.draws)
