"""Pairs results with truths, masks and further fills: files match by path without suffix.

"a/b.png" matches "a/b.jpg". Nothing is skipped silently, as scores over fewer pictures are not comparable: a
file without a partner, or one that cannot be read, is an error. All such files are reported at once, before
any computation. Images are decoded when they are used, so large sets need not fit in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import Bool

from maskmend.errors import DataError, ImageError, MaskError
from maskmend.images.listing import SUFFIXES
from maskmend.images.picture import load_image
from maskmend.masks.options import MaskOptions
from maskmend.masks.reading import load_mask

MOST_NAMES = 10
"""Files that one message names."""


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


def named_files(folder: Path) -> dict[str, Path]:
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

    Raises DataError if files cannot be read, a result has no partner in one of the folders, two files share a
    name, or sizes differ. Unreadable files are reported first: one of them may be the missing partner of
    another.
    """
    files = named_files(results)
    names = list(files)
    unpaired: list[str] = []

    def partners(folder: Path, what: str) -> tuple[list[Path], int]:
        found = named_files(folder)
        missing = [name for name in names if name not in found]
        if missing:
            unpaired.append(
                f"{len(missing)} of {len(names)} results have no {what} in {folder}, the first is "
                f"{missing[0]!r}: names must agree apart from the suffix"
            )
        return [found[name] for name in names if name in found], len(found) - len(names)

    truth_files, unused = partners(truths, "truth")
    others = [Pictures(partners(folder, "further fill")[0]) for folder in other_fills]
    mask_files = None if masks is None else partners(masks, "mask")[0]
    shapes: dict[Path, tuple[int, ...]] = {}
    holes: list[Bool[np.ndarray, "_ _"]] = []
    broken: dict[Path, str] = {}
    for path in dict.fromkeys([*files.values(), *truth_files, *(p for fills in others for p in fills.paths)]):
        try:
            shapes[path] = load_image(path).pixels.shape
        except ImageError as error:
            broken[path] = str(error)
    for path in mask_files or []:
        try:
            # No option here could say that a photograph is meant.
            holes.append(load_mask(path, options=MaskOptions(invert=invert_masks, photo_check="off")))
        except MaskError as error:
            broken[path] = str(error)
    if broken:
        raise DataError(_unreadable(broken))
    if unpaired:
        raise DataError(unpaired[0])
    pairs = Comparison(
        names=names,
        results=Pictures([files[name] for name in names]),
        truths=Pictures(truth_files),
        others=others,
        masks=None if mask_files is None else holes,
        unused_truths=unused,
    )
    _check_sizes(pairs, shapes)
    return pairs


def _unreadable(broken: dict[Path, str]) -> str:
    reason = next(iter(broken.values()))
    if len(broken) > 1:
        names = ", ".join(map(str, list(broken)[:MOST_NAMES]))
        more = f" and {len(broken) - MOST_NAMES} more" if len(broken) > MOST_NAMES else ""
        reason = f"{len(broken)} files cannot be used ({names}{more}); of the first: {reason}"
    return f"{reason} Or leave such pictures out of all folders: scores are of the pictures that remain."


def _check_sizes(pairs: Comparison, shapes: dict[Path, tuple[int, ...]]) -> None:
    for index, name in enumerate(pairs.names):
        result = shapes[pairs.results.paths[index]]
        partners = {"truth": shapes[pairs.truths.paths[index]]}
        partners |= {f"fill {i + 2}": shapes[fills.paths[index]] for i, fills in enumerate(pairs.others)}
        if pairs.masks is not None:
            partners["mask"] = (*pairs.masks[index].shape, 3)
        for what, shape in partners.items():
            if shape != result:
                here, there = f"{result[1]}x{result[0]}", f"{shape[1]}x{shape[0]}"
                raise DataError(
                    f"{name}: the result is {here}, its {what} {there}: scale them to one size first"
                )
