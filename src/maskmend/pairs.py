"""Which result belongs to which truth, mask and further fill: files are paired by their path without suffix.

"a/b.png" goes with "a/b.jpg". Nothing is left out silently: a result without its partner is an error that
names it. Images are decoded when asked for, so that large sets need not fit in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import Bool

from maskmend.data import SUFFIXES
from maskmend.errors import DataError
from maskmend.images import load_image
from maskmend.masks import load_mask


# Unsubscripted, or the type checker of the tests decodes files at random to look at their items
class Pictures(Sequence):
    """Image files as a sequence of (H, W, 3) uint8 arrays, each decoded when asked for."""

    def __init__(self, paths: Sequence[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> "Pictures": ...
    def __getitem__(self, index: int | slice) -> "np.ndarray | Pictures":
        if isinstance(index, slice):
            return Pictures(self.paths[index])
        return load_image(self.paths[index]).pixels


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The paired files of one evaluation, each list in the order of `names`."""

    names: list[str]
    results: Pictures
    truths: Pictures
    others: list[Pictures]
    """Further fills of the same images, one entry a folder."""
    masks: list[Bool[np.ndarray, "_ _"]] | None
    """True = was filled."""
    unused_truths: int
    """How many truths have no result."""


def _named_files(folder: Path) -> dict[str, Path]:
    """Image files by relative path without suffix."""
    if not folder.is_dir():
        raise DataError(f"no folder at {folder}: give a folder of images")
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in files:
                raise DataError(f"{files[name]} and {path.name} share the name {name!r}: keep one of them")
            files[name] = path
    if not files:
        raise DataError(f"no images under {folder}: looked for {', '.join(sorted(SUFFIXES))}")
    return files


def pair_folders(
    results: Path,
    truths: Path,
    masks: Path | None = None,
    other_fills: Sequence[Path] = (),
    *,
    invert_masks: bool = False,
) -> Comparison:
    """Pairs the files of folders by their paths without suffix, in the order of these.

    Raises DataError if a result has no partner in one of the folders, two files share a name, or sizes
    differ.
    """
    files = _named_files(results)
    names = list(files)

    def partners(folder: Path, what: str) -> tuple[list[Path], int]:
        found = _named_files(folder)
        missing = [name for name in names if name not in found]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(names)} results have no {what} in {folder}, the first is "
                f"{missing[0]!r}: names must agree apart from the suffix"
            )
        return [found[name] for name in names], len(found) - len(names)

    truth_files, unused = partners(truths, "truth")
    others = [Pictures(partners(folder, "further fill")[0]) for folder in other_fills]
    mask_files = None if masks is None else partners(masks, "mask")[0]
    pairs = Comparison(
        names=names,
        results=Pictures([files[name] for name in names]),
        truths=Pictures(truth_files),
        others=others,
        masks=None if mask_files is None else [load_mask(path, invert=invert_masks) for path in mask_files],
        unused_truths=unused,
    )
    _check_sizes(pairs)
    return pairs


def _check_sizes(pairs: Comparison) -> None:
    for index, (name, result, truth) in enumerate(zip(pairs.names, pairs.results, pairs.truths, strict=True)):
        shapes = {
            "truth": truth.shape,
            **{f"fill {i + 2}": fills[index].shape for i, fills in enumerate(pairs.others)},
        }
        if pairs.masks is not None:
            shapes["mask"] = (*pairs.masks[index].shape, 3)
        for what, shape in shapes.items():
            if shape != result.shape:
                here, there = f"{result.shape[1]}x{result.shape[0]}", f"{shape[1]}x{shape[0]}"
                raise DataError(
                    f"{name}: the result is {here}, its {what} {there}: scale them to one size first"
                )
