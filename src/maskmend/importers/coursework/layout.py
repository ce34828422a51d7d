"""The folder layout of the coursework: masked pictures and masks as input, three kinds of output.

    FOLDER/masked_image/*           FOLDER/mask64/*, black = hole
    OUT/test_results/image_NNN.png  the filled picture
    OUT/mask_scheduling/test_N.png  the latent mask after each iteration, black = still masked, ten in a row
    OUT/imga/test_N.png             the input, then what each iteration predicts, seven in a row

N is the number in the files' names. Two differences: the coursework counts files in alphabetical
order, where 10 comes before 2, and its filled pictures are the output of the decoder; ours keep known pixels.
"""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from maskmend.errors import ConfigError, DataError
from maskmend.fill.result import Inpainted
from maskmend.images.listing import SUFFIXES
from maskmend.images.picture import Picture, load_image
from maskmend.masks.options import MaskOptions
from maskmend.masks.reading import load_mask
from maskmend.pipeline import InpaintPipeline
from maskmend.progress import StageProgress
from maskmend.storage.files import write_files

IMAGES, MASKS = "masked_image", "mask64"
RESULTS, SCHEDULES, ITERATIONS = "test_results", "mask_scheduling", "imga"
BATCH = 16
GAP = 2
"""Black pixels around each picture of a strip."""
BLACK, WHITE = np.zeros(3, np.uint8), np.full(3, 255, np.uint8)
K = TypeVar("K", int, str)


class CourseworkPair(NamedTuple):
    """One masked picture and its hole."""

    number: int
    picture: Picture
    mask: Bool[np.ndarray, "H W"]
    """True where black in the file: the hole."""


def read_coursework_folder(folder: Path, *, fit: bool = False) -> list[CourseworkPair]:
    """The pairs of `folder`, in the order of their numbers; `fit` resizes masks to their images.

    Files are paired by the last number in their names, or by their names if those numbers are not unique;
    then they are numbered from 0. Raises DataError for a missing folder or a file without its
    partner, ImageError and MaskError for a file that cannot be used.
    """
    images, masks = _files(folder / IMAGES), _files(folder / MASKS)
    numbered = _by_number(images), _by_number(masks)
    if numbered[0] is not None and numbered[1] is not None:
        found = _partners(folder, numbered[0], numbered[1])
    else:
        named = _partners(folder, images, masks)
        found = [(place, image, mask) for place, (_, image, mask) in enumerate(named)]
    # No option here could say that a photograph is meant.
    options = MaskOptions(invert=True, channel="luma", fit=fit, photo_check="off")
    pairs = []
    for number, image, mask in found:
        picture = load_image(image)
        height, width = picture.pixels.shape[:2]
        hole = load_mask(mask, size=(height, width), options=options)
        pairs.append(CourseworkPair(number, picture, hole))
    return pairs


def fill_coursework_folder(
    pipe: InpaintPipeline,
    pairs: Sequence[CourseworkPair],
    out: Path,
    *,
    seed: int = 0,
    progress: StageProgress | None = None,
    **settings: Any,
) -> None:
    """Fills `pairs` and writes the three folders into `out`, all files or none.

    Pair number i of the list is filled with seed `seed` + i. `settings` are those of a fill. Raises
    ConfigError when one of the folders holds files already, OutputError when writing fails.
    """
    check_output(out)
    files: dict[Path, bytes] = {}
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        seeds = [seed + start + place for place in range(len(batch))]
        pictures, masks = [pair.picture for pair in batch], [pair.mask for pair in batch]
        for pair, result in zip(batch, pipe(pictures, masks, seed=seeds, **settings), strict=True):
            files[out / RESULTS / f"image_{pair.number:03d}.png"] = _png(result.images[0])
            files[out / SCHEDULES / f"test_{pair.number}.png"] = _png(mask_strip(pipe, result))
            files[out / ITERATIONS / f"test_{pair.number}.png"] = _png(picture_strip(pipe, result))
        if progress:
            progress("filling", start + len(batch), len(pairs))
    write_files(files)


def check_output(out: Path) -> None:
    """Raises ConfigError when one of the three folders of `out` is no folder, or holds files already."""
    for name in (RESULTS, SCHEDULES, ITERATIONS):
        folder = out / name
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise ConfigError(f"{folder} is there already: choose another folder, or remove it first")


def mask_strip(pipe: InpaintPipeline, result: Inpainted) -> Image.Image:
    """The token grid after each iteration, a pixel for a token: black still masked, white known or kept."""
    grid = pipe.tokenizer.config.grid
    masked = [step.masked[0].view(-1, grid).cpu().numpy() for step in result.history]
    # Nothing was masked: one grid, all known.
    grids = masked or [np.zeros((grid, grid), dtype=bool)]
    return strip([np.where(still[:, :, None], BLACK, WHITE) for still in grids], 10)


def picture_strip(pipe: InpaintPipeline, result: Inpainted) -> Image.Image:
    """The input, then the whole picture as each iteration predicts it, every pixel from the decoder."""
    pixels, side = result.source.pixels, (pipe.resolution, pipe.resolution)
    parts = [pixels[region.box.slices] for region in result.regions] or [pixels]
    given = [
        np.asarray(Image.fromarray(part).resize(side) if part.shape[:2] != side else part) for part in parts
    ]
    pictures = [Image.fromarray(np.concatenate(given))]
    pictures += [pipe.draw_candidate(result, step) for step in range(1, len(result.history) + 1)]
    return strip([np.asarray(picture) for picture in pictures], 7)


def strip(pictures: Sequence[UInt8[np.ndarray, "H W 3"]], columns: int) -> Image.Image:
    """Pictures of one size side by side, `columns` in a row, with black between and around them."""
    height, width = pictures[0].shape[0] + GAP, pictures[0].shape[1] + GAP
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = np.zeros((rows * height + GAP, columns * width + GAP, 3), np.uint8)
    for place, picture in enumerate(pictures):
        top, left = place // columns * height + GAP, place % columns * width + GAP
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return Image.fromarray(sheet)


def _files(folder: Path) -> dict[str, Path]:
    """The image files of `folder` by name without suffix."""
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: the layout of the coursework has {IMAGES}/ and {MASKS}/ in one")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            if path.stem in files:
                raise DataError(f"{files[path.stem]} and {path.name} share the name {path.stem!r}: keep one")
            files[path.stem] = path
    if not files:
        raise DataError(f"no images in {folder}: looked for {', '.join(sorted(SUFFIXES))}")
    return files


def _by_number(files: Mapping[str, Path]) -> dict[int, Path] | None:
    """`files` by the last number in their names; None where one has no number, or two have the same."""
    found: dict[int, Path] = {}
    for name, path in files.items():
        digits = re.findall(r"[0-9]+", name)
        if not digits or int(digits[-1]) in found:
            return None
        found[int(digits[-1])] = path
    return found


def _partners(folder: Path, images: Mapping[K, Path], masks: Mapping[K, Path]) -> list[tuple[K, Path, Path]]:
    """Image and mask of each key, in order. Raises DataError when one of them has no partner."""
    for here, there, name in ((images, masks, MASKS), (masks, images, IMAGES)):
        alone = [key for key in here if key not in there]
        if alone:
            raise DataError(
                f"{len(alone)} of {len(here)} files have no partner in {folder / name}, the first is "
                f"{here[alone[0]]}: give each image and mask the same number"
            )
    return [(key, images[key], masks[key]) for key in sorted(images)]


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()
