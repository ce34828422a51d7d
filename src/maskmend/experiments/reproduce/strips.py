"""Strips of pictures over the iterations (latent mask, current picture), one row per schedule; a gallery."""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from maskmend.evaluation.contact_sheet import latent_mask, masked_input
from maskmend.experiments.picture_table import PictureRow, picture_table
from maskmend.pipeline import InpaintPipeline

CELL, GAP, LABEL, FONT = 96, 6, 18, 12
LARGE = 128
"""Side of a picture of the gallery."""


def schedule_strips(
    pipe: InpaintPipeline,
    image: UInt8[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
    schedules: Sequence[str],
    *,
    seed: int = 0,
    steps: int = 8,
) -> tuple[Image.Image, Image.Image]:
    """(latent masks, predicted pictures) over the iterations of one image, a row for each schedule.

    The predicted pictures are uncomposited, every pixel from the decoder, as in the coursework.
    """
    fills = {name: pipe(image, mask, seed=seed, steps=steps, schedule=name) for name in schedules}
    masks, pictures = [], []
    for name, result in fills.items():
        count = len(result.history)
        masks.append((name, [latent_mask(result, step) for step in range(count + 1)]))
        drawn = [pipe.draw_candidate(result, step) for step in range(1, count + 1)]
        pictures.append((name, [masked_input(result), *drawn]))
    return _rows(masks), _rows(pictures)


def gallery(
    pipe: InpaintPipeline,
    images: Sequence[UInt8[np.ndarray, "H W 3"]],
    masks: Sequence[Bool[np.ndarray, "H W"]],
    baselines: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]],
    *,
    seed: int = 0,
) -> Image.Image:
    """A row for each image: input, the baselines' fills, ours composited and uncomposited, the truth."""
    results = pipe(list(images), list(masks), seed=[seed + n for n in range(len(images))])
    names = ["input", *baselines, "maskmend", "uncomposited", "truth"]
    rows = []
    for result in results:
        others = [Image.fromarray(fill(result.source.pixels, result.mask)) for fill in baselines.values()]
        drawn = pipe.draw_tokens(result.tokens, result.regions) if result.tokens.size else result.images
        shown = [masked_input(result), *others, result.images[0], drawn[0]]
        shown.append(Image.fromarray(result.source.pixels))
        rows.append(PictureRow(pictures=[picture.convert("RGB") for picture in shown]))
    return picture_table(names, rows, cell=LARGE, gap=GAP, label=LABEL, font_size=FONT)


def png_bytes(image: Image.Image) -> bytes:
    content = BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def _rows(rows: Sequence[tuple[str, Sequence[Image.Image]]]) -> Image.Image:
    columns = max(len(pictures) for _, pictures in rows)
    names = ["input", *(str(step) for step in range(1, columns))]
    table = [PictureRow(title=name.replace("_", " "), pictures=pictures) for name, pictures in rows]
    return picture_table(names, table, cell=CELL, gap=GAP, label=LABEL, font_size=FONT)
