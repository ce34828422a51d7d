"""Responses to a fill: one picture, a JSON object, or a stream of events (text/event-stream).

The Accept header selects the kind. It also selects the picture format, unless the `format` parameter is set.

Events, in this order: queued; started; step (one per decoding step; for a hole in many windows, one per
window and at least one a second); level (while a wide hole is refilled at finer scales: one per batch of
windows, and one with a picture for each finished scale); fill (one per sample); done. An error event can come
at any time and ends the stream.
"""

import base64
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field
from starlette.requests import Request

from maskmend.errors import ImageError
from maskmend.fill.levels import LevelProgress
from maskmend.fill.result import Inpainted
from maskmend.images.picture import Picture
from maskmend.images.writing import encode_picture
from maskmend.masks.box import Box
from maskmend.server.errors import ApiError
from maskmend.server.parameters import Format, Parameters
from maskmend.server.requests import png

Kind = Literal["picture", "json", "events"]
MEDIA: dict[Format, str] = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
"""Output formats and their media types; lossless formats first."""
_KINDS: dict[str, Kind] = {
    **dict.fromkeys((*MEDIA.values(), "image/*", "*/*"), "picture"),
    **dict.fromkeys(("application/json", "application/*"), "json"),
    **dict.fromkeys(("text/event-stream", "text/*"), "events"),
}


class Fill(BaseModel):
    seed: int
    log_likelihood: float = Field(description="Nats per token of the hole; higher is more likely.")
    image: str = Field(description="The whole picture as a base64-encoded file in the requested format.")


class Answer(BaseModel):
    model: str
    width: int
    height: int
    fills: list[Fill]
    best: int = Field(description="Index of the best fill, by `settings.ranking`.")
    uncertainty: str = Field(
        description="8-bit grey PNG in base64: entropy of the first prediction; 0 if known, 255 at `most`."
    )
    most: float = Field(description="Maximum entropy of a token (uniform distribution), in nats.")
    settings: dict[str, Any]
    seconds: float = Field(description="Time taken by the batch that contained this fill.")
    note: str | None = Field(None, description="Note or warning about the fill.")
    converted: list[str] = Field(
        default=[], description="Conversions applied when the picture was read (`convert`)."
    )
    unfamiliar: float | None = Field(
        None,
        description="Distance of the known part of the picture from the training data, relative to the "
        "model's limit: above 1 it is unlike them. Null if too little is known or the model has no limit.",
    )


@dataclass(frozen=True)
class Accepted:
    """What the client accepts: the kind of response, and the weight of each picture format (above 0)."""

    kind: Kind
    formats: dict[Format, float]

    def format(self, parameters: Parameters) -> Format:
        """The format of the parameters, else the preferred one of Accept. Raises ApiError (406)."""
        if self.kind != "picture":  # Accept does not concern pictures inside JSON and events
            return parameters.format
        if "format" not in parameters.model_fields_set:
            return max(self.formats, key=lambda name: self.formats[name])
        if parameters.format not in self.formats:
            raise ApiError(
                406,
                "not_acceptable",
                f"format is {parameters.format}, but Accept does not take {MEDIA[parameters.format]}: "
                "leave one of them out",
            )
        return parameters.format


def accepted(request: Request) -> Accepted:
    """Parses the Accept header; a picture when it accepts anything. Raises ApiError (406).

    Several Accept headers are joined; an empty one is ignored.
    """
    given = (one.strip().lower() for one in request.headers.getlist("accept"))
    weights = _weights(",".join(filter(None, given)) or "*/*")
    formats: dict[Format, float] = {}
    for name, media in MEDIA.items():
        nearest = next((one for one in (media, "image/*", "*/*") if one in weights), None)
        if nearest is not None and weights[nearest] > 0:
            formats[name] = weights[nearest]
    known = [media for media in weights if media in _KINDS and weights[media] > 0]
    kind = _KINDS[max(known, key=lambda media: weights[media])] if known else None
    if kind is None or (kind == "picture" and not formats):
        raise ApiError(
            406,
            "not_acceptable",
            f"ask for {', '.join(MEDIA.values())}, application/json or text/event-stream in Accept",
        )
    return Accepted(kind, formats)


def _weights(accept: str) -> dict[str, float]:
    """The media ranges of an Accept header in order, each with its quality value."""
    weights: dict[str, float] = {}
    for item in accept.split(","):
        media, *options = (part.strip() for part in item.split(";"))
        weight = 1.0
        for option in options:
            if option.startswith("q="):
                try:
                    weight = float(option[2:])
                except ValueError:
                    weight = 0.0
        weights[media] = weight
    return weights


def check_format(picture: Picture, kind: Format) -> None:
    """Raises ImageError for a format that cannot hold the picture."""
    if kind == "jpeg" and picture.alpha is not None:
        raise ImageError("JPEG holds no alpha channel: ask for png or webp.")


def encoded(picture: Picture, kind: Format, quality: int | None) -> bytes:
    """The encoded file; PNG is always lossless, WebP without `quality`. Raises ImageError."""
    check_format(picture, kind)
    if quality is None:
        return encode_picture(picture, kind.upper())
    return encode_picture(picture, kind.upper(), quality=quality, lossless=kind == "png")


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def uncertainty_png(result: Inpainted, most: float) -> bytes:
    levels = np.clip(np.rint(result.uncertainty / most * 255), 0, 255).astype(np.uint8)
    # Even the most certain pixel of a hole must differ from a known one (0).
    return png(np.where(result.mask, np.maximum(levels, 1), levels).astype(np.uint8))


def fill_of(result: Inpainted, sample: int, parameters: Parameters) -> dict[str, Any]:
    """One sample as `Fill`."""
    content = encoded(result.pictures[sample], parameters.format, parameters.quality)
    return {
        "seed": result.seeds[sample],
        "log_likelihood": round(float(result.log_likelihood[sample]), 6),
        "image": in_base64(content),
    }


def summary(result: Inpainted, model: str, codes: int, seconds: float) -> dict[str, Any]:
    """The fields of `Answer` other than the fills."""
    height, width = result.mask.shape
    most = math.log(codes)
    return {
        "model": model,
        "width": width,
        "height": height,
        "best": result.best,
        "uncertainty": in_base64(uncertainty_png(result, most)),
        "most": most,
        "settings": {name: getattr(result.settings, name) for name in result.settings.__dataclass_fields__},
        "seconds": round(seconds, 3),
        "note": result.note,
        "converted": list(result.converted),
        "unfamiliar": None if result.unfamiliar is None else round(result.unfamiliar, 4),
    }


def converted_header(picture: Picture) -> dict[str, str]:
    """The conversions applied when `picture` was read."""
    return {"X-Maskmend-Converted": ", ".join(picture.converted)} if picture.converted else {}


def step_event(news: dict[str, Any], steps: int) -> dict[str, Any]:
    """The data of a step event: masked tokens as rows of 0 and 1, pictures as PNG of the box.

    `part` and `parts` count windows: distant holes have windows of their own, a long hole has several. Each
    is filled in `steps` steps; `seconds_left` is the time until all are done. `hidden` marks masked tokens.
    """
    box = news["box"]
    return {
        "step": news["step"],
        "steps": steps,
        "part": news["part"],
        "parts": news["parts"],
        "seconds_left": round(news["seconds_left"], 1),
        "box": box_of(box),
        "fills": [
            {
                "hidden": ["".join("01"[int(cell)] for cell in row) for row in hidden],
                "image": in_base64(png(picture)),
            }
            for hidden, picture in zip(news["hidden"], news["pictures"], strict=True)
        ],
    }


def level_event(news: dict[str, Any], samples: int) -> dict[str, Any]:
    """The data of a level event: progress of a wide hole's finer scales, sample by sample. For a finished
    scale it includes a PNG of the hole's bounding box."""
    progress: LevelProgress = news["progress"]
    shown = {}
    if "picture" in news:
        shown = {"box": box_of(news["box"]), "image": in_base64(png(news["picture"]))}
    return shown | {
        "sample": progress.sample,
        "samples": samples,
        "level": progress.level,
        "levels": progress.levels,
        "windows": progress.windows,
        "total": progress.total,
        "seconds_left": round(progress.seconds_left, 1),
    }


def box_of(box: Box) -> dict[str, int]:
    """A box of the picture, in its pixels."""
    return {"top": box.top, "left": box.left, "height": box.height, "width": box.width}


def event(name: str, data: dict[str, Any]) -> bytes:
    """One event of a text/event-stream."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
