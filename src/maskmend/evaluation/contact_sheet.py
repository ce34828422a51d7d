"""Pictures that illustrate a fill: masked input, latent mask, uncertainty, contact sheet, animation."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from maskmend.fill.result import Inpainted
from maskmend.pipeline import InpaintPipeline

PAPER, INK, FAINT = (250, 249, 246), (32, 32, 36), (120, 118, 112)
HOLE = (128, 128, 128)
KNOWN, HIDDEN, JUST_FILLED = (232, 232, 232), (24, 24, 28), (250, 176, 60)


def masked_input(result: Inpainted) -> Image.Image:
    """The picture with its hole in mid-grey."""
    return Image.fromarray(np.where(result.mask[:, :, None], np.array(HOLE, np.uint8), result.source.pixels))


def latent_mask(result: Inpainted, step: int, sample: int = 0) -> Image.Image:
    """The token grid after `step` (0: before the first): dark still masked, orange new, light known."""
    if result.hole.size == 0:  # an empty mask: nothing was encoded
        return Image.new("RGB", (1, 1), KNOWN)
    masked = _masked(result, step, sample)
    before = _masked(result, max(0, step - 1), sample)
    cells = np.full((*result.hole.shape, 3), KNOWN, np.uint8)
    cells[result.hole] = (176, 200, 222)
    cells[before & ~masked] = JUST_FILLED
    cells[masked] = HIDDEN
    return Image.fromarray(cells)


def _masked(result: Inpainted, step: int, sample: int) -> Bool[np.ndarray, "h w"]:
    if step == 0:
        return result.hole
    masked = result.history[step - 1].masked[sample]
    return masked.view(*result.hole.shape).cpu().numpy()


def uncertainty_map(
    uncertainty: Float[np.ndarray, "H W"], source: UInt8[np.ndarray, "H W 3"], most: float
) -> Image.Image:
    """Entropy in the hole from dark blue (certain) to yellow (`most` nats), over the dimmed picture."""
    level = np.clip(uncertainty / most, 0, 1)[:, :, None]
    stops = np.array([[30, 30, 110], [120, 40, 140], [225, 90, 80], [250, 200, 60]], np.float64)
    place = level * (len(stops) - 1)
    low = np.minimum(place.astype(int), len(stops) - 2)
    colour = stops[low[..., 0]] + (stops[low[..., 0] + 1] - stops[low[..., 0]]) * (place - low)
    dimmed = source.astype(np.float64) * 0.35 + 150
    return Image.fromarray(np.where(level > 0, colour, dimmed).clip(0, 255).astype(np.uint8))


def contact_sheet(pipe: InpaintPipeline, results: Sequence[Inpainted], cell: int = 160) -> Image.Image:
    """For each result three rows: the picture and its fills; the latent mask after each step; its picture."""
    gap, label = 10, 20
    columns = max(max(4 + len(r.pictures), len(r.history)) for r in results)
    row = cell + label + gap
    sheet = Image.new("RGB", (columns * (cell + gap) + gap, len(results) * (3 * row + gap) + gap), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    top = gap

    def put(column: int, y: int, picture: Image.Image, text: str) -> None:
        x = gap + column * (cell + gap)
        draw.text((x, y), text, fill=INK, font=font)
        sheet.paste(fit(picture, cell), (x, y + label))

    for result in results:
        most = float(np.log(pipe.transformer.config.codes))
        best = result.best
        first = [
            (Image.fromarray(result.source.pixels), "original"),
            (masked_input(result), "input"),
            (result.images[best], "result (best)"),
            (uncertainty_map(result.uncertainty, result.source.pixels, most), "uncertainty"),
        ]
        first += [
            (image, f"fill, seed {seed}") for image, seed in zip(result.images, result.seeds, strict=True)
        ]
        for column, (picture, text) in enumerate(first):
            put(column, top, picture, text)
        for step in range(1, len(result.history) + 1):
            left = int(_masked(result, step, best).sum())
            put(step - 1, top + row, latent_mask(result, step, best), f"step {step}: {left} masked")
            put(step - 1, top + 2 * row, pipe.draw_step(result, step, best), f"decoded, step {step}")
        top += 3 * row
        draw.line((gap, top, sheet.width - gap, top), fill=FAINT)
        top += gap
    return sheet


def step_frames(pipe: InpaintPipeline, results: Sequence[Inpainted], cell: int = 192) -> list[Image.Image]:
    """Frames of an animation: the input, then each step's latent mask and picture; results in columns."""
    steps = max(len(result.history) for result in results)
    gap = 8
    frames = []
    for step in range(steps + 1):
        frame = Image.new("RGB", (len(results) * (cell + gap) + gap, 2 * (cell + gap) + gap), PAPER)
        for column, result in enumerate(results):
            now = min(step, len(result.history))
            picture = masked_input(result) if now == 0 else pipe.draw_step(result, now, result.best)
            x = gap + column * (cell + gap)
            frame.paste(fit(latent_mask(result, now, result.best), cell), (x, gap))
            frame.paste(fit(picture, cell), (x, 2 * gap + cell))
        frames.append(frame)
    return frames


def fit(image: Image.Image, cell: int) -> Image.Image:
    """`image` within a square of `cell` pixels: enlarged with hard pixels, reduced smoothly."""
    scale = cell / max(image.size)
    kind = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    scaled = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), kind)
    square = Image.new("RGB", (cell, cell), PAPER)
    square.paste(scaled, ((cell - scaled.width) // 2, (cell - scaled.height) // 2))
    return square
