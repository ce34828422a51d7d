"""A fill as an answer: one picture, a JSON object, or a stream of events (text/event-stream).

The Accept header says which; of pictures also the format, unless the parameters do.

Events, in this order: queued, started, step (one for each decoding step; of a hole in many parts one for each
part), level (while a wide hole is drawn anew at finer scales: one for each batch of windows, and one with a
picture for each scale that is done), fill (one for each sample), done; or error, at any time, which is the
last.
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
"""The formats that are written, and what they are called in headers; those without loss first."""
_KINDS: dict[str, Kind] = {
    **dict.fromkeys((*MEDIA.values(), "image/*", "*/*"), "picture"),
    **dict.fromkeys(("application/json", "application/*"), "json"),
    **dict.fromkeys(("text/event-stream", "text/*"), "events"),
}


class Fill(BaseModel):
    seed: int
    log_likelihood: float = Field(description="Nats for each token of the hole; higher is likelier.")
    image: str = Field(description="The whole picture, a file of the format asked for, in base64.")


class Answer(BaseModel):
    model: str
    width: int
    height: int
    fills: list[Fill]
    best: int = Field(description="Index of the best fill, by `settings.ranking`.")
    uncertainty: str = Field(
        description="PNG in base64, 8-bit grey: entropy of the first prediction, 0 if known, 255 at `most`."
    )
    most: float = Field(description="Entropy in nats of a token of which nothing is known.")
    settings: dict[str, Any]
    seconds: float = Field(description="Spent on the fill and those it was batched with.")
    note: str | None = Field(None, description="What is to be known of the fill.")
    converted: list[str] = Field(
        default=[], description="What was converted as the picture was read (`convert`)."
    )
    unfamiliar: float | None = Field(
        None,
        description="How far the known part of the picture lies from what the model learnt, as a share of "
        "the limit: above 1 it is unlike that. Null where too little is known, or the model has no limit.",
    )


@dataclass(frozen=True)
class Accepted:
    """What the client accepts: the kind of answer, and the weight above 0 of each format of a picture."""

    kind: Kind
    formats: dict[Format, float]

    def format(self, parameters: Parameters) -> Format:
        """The parameters' format, else the one accepted most. Raises ApiError (406)."""
        if self.kind != "picture":  # pictures within JSON and events are no matter of Accept
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
    """What the Accept header asks for; a picture when it takes anything. Raises ApiError (406).

    Several such headers are one; an empty one says nothing.
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
    """The media ranges of an Accept header in their order, each with its q."""
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
    """The file's bytes; without `quality` WebP is lossless, as PNG always is. Raises ImageError."""
    check_format(picture, kind)
    if quality is None:
        return encode_picture(picture, kind.upper())
    return encode_picture(picture, kind.upper(), quality=quality, lossless=kind == "png")


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def uncertainty_png(result: Inpainted, most: float) -> bytes:
    levels = np.clip(np.rint(result.uncertainty / most * 255), 0, 255).astype(np.uint8)
    # A hole's surest pixel is still no known one.
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
    """What `Answer` says beside the fills."""
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
    """What was converted as `picture` was read."""
    return {"X-Maskmend-Converted": ", ".join(picture.converted)} if picture.converted else {}


def step_event(news: dict[str, Any], steps: int) -> dict[str, Any]:
    """What a step looks like on the wire: open tokens as rows of 0 and 1, pictures as PNG of the box.

    Holes far apart are parts, and so are the windows on a long one: filled one after the other, each in
    `steps` steps of its own.
    """
    box = news["box"]
    return {
        "step": news["step"],
        "steps": steps,
        "part": news["part"],
        "parts": news["parts"],
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
    """How far the finer scales of a wide hole are, which are drawn sample by sample; where one is done, with
    a PNG of the hole's box."""
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
