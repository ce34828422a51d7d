"""Strips over the iterations (latent mask; picture so far), a row for each schedule; a gallery of fills."""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw, ImageFont

from maskmend.evaluation.contact_sheet import FAINT, INK, PAPER, fit, latent_mask, masked_input
from maskmend.pipeline import InpaintPipeline

CELL, GAP, LABEL = 96, 6, 18
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

    The predicted pictures are uncomposited, every pixel from the decoder, as in the published experiment.
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
    rivals: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]],
    *,
    seed: int = 0,
) -> Image.Image:
    """A row for each image: input, the rivals' fills, ours composited and uncomposited, the truth."""
    results = pipe(list(images), list(masks), seed=[seed + n for n in range(len(images))])
    names = ["input", *rivals, "maskmend", "uncomposited", "truth"]
    height, left = LARGE + GAP, GAP
    sheet = Image.new("RGB", (left + len(names) * (LARGE + GAP), LABEL + len(results) * height + GAP), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for column, name in enumerate(names):
        draw.text((left + column * (LARGE + GAP), 2), name, fill=FAINT, font=font)
    for number, result in enumerate(results):
        others = [Image.fromarray(fill(result.source.pixels, result.mask)) for fill in rivals.values()]
        drawn = pipe.draw_tokens(result.tokens, result.regions) if result.tokens.size else result.images
        shown = [masked_input(result), *others, result.images[0], drawn[0]]
        shown.append(Image.fromarray(result.source.pixels))
        for column, picture in enumerate(shown):
            place = (left + column * (LARGE + GAP), LABEL + number * height)
            sheet.paste(fit(picture.convert("RGB"), LARGE), place)
    return sheet


def png_bytes(image: Image.Image) -> bytes:
    content = BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def _rows(rows: Sequence[tuple[str, Sequence[Image.Image]]]) -> Image.Image:
    columns = max(len(pictures) for _, pictures in rows)
    height = CELL + LABEL + GAP
    sheet = Image.new("RGB", (GAP + columns * (CELL + GAP), LABEL + len(rows) * height + GAP), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for column in range(columns):
        text = "input" if column == 0 else f"{column}"
        draw.text((GAP + column * (CELL + GAP), 2), text, fill=FAINT, font=font)
    for number, (name, pictures) in enumerate(rows):
        top = LABEL + number * height
        draw.text((GAP, top), name.replace("_", " "), fill=INK, font=font)
        for column, picture in enumerate(pictures):
            sheet.paste(fit(picture, CELL), (GAP + column * (CELL + GAP), top + LABEL))
    return sheet
