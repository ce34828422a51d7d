"""Strips over the iterations, a row for each schedule: the latent mask, and the picture as it stands."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw, ImageFont

from maskmend.inpainted import Inpainted
from maskmend.pipeline import InpaintPipeline
from maskmend.sheet import FAINT, INK, PAPER, fit, latent_mask, masked_input

CELL, GAP, LABEL = 96, 6, 18


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

    The predicted pictures are uncomposited, every pixel from the decoder, as the report shows them.
    """
    fills = {name: pipe(image, mask, seed=seed, steps=steps, schedule=name) for name in schedules}
    masks, pictures = [], []
    for name, result in fills.items():
        count = len(result.history)
        masks.append((name, [latent_mask(result, step) for step in range(count + 1)]))
        drawn = [draw_candidate(pipe, result, step) for step in range(1, count + 1)]
        pictures.append((name, [masked_input(result), *drawn]))
    return _rows(masks), _rows(pictures)


def draw_candidate(pipe: InpaintPipeline, result: Inpainted, step: int) -> Image.Image:
    """The whole picture that step predicts, every pixel from the decoder."""
    candidate = result.history[step - 1].candidate[:1].view(1, *result.hole.shape)
    return pipe.draw_tokens(candidate.cpu().numpy(), result.region)[0]


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
