"""The server's responses as frozen dataclasses. Pictures are the received file contents.

Unknown fields of a newer server are ignored; a missing field raises `UnexpectedAnswer`.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskmend.client.errors import UnexpectedAnswer


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A picture in another format."""

    content: bytes
    """The file."""
    media_type: str
    """Such as image/png."""
    converted: tuple[str, ...] = ()
    """Conversions applied when the picture was read, such as "CMYK to sRGB"."""

    def save(self, path: str | Path) -> None:
        """Writes the file unchanged."""
        Path(path).write_bytes(self.content)


@dataclass(frozen=True, kw_only=True)
class Picture(Converted):
    """The best fill."""

    seed: int
    log_likelihood: float | None
    """Nats per token of the hole; None for IOPaint's route."""
    note: str | None = None
    """Note or warning about the fill, in ASCII."""
    unfamiliar: float | None = None
    """Distance of the picture from the training data, relative to the model's limit: above 1 it is unlike
    them."""


@dataclass(frozen=True, kw_only=True)
class Fill:
    """One of several fills."""

    seed: int
    log_likelihood: float
    """Nats per token of the hole; higher is more likely."""
    content: bytes
    """The whole picture as a file in the requested format."""

    def save(self, path: str | Path) -> None:
        """Writes the file unchanged."""
        Path(path).write_bytes(self.content)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Information about all fills of a hole."""

    model: str
    width: int
    height: int
    best: int
    """Index of the best fill."""
    uncertainty: bytes
    """PNG, 8-bit grey: entropy of the first prediction, 0 where known, 255 at `most`."""
    most: float
    """Maximum entropy of a token (uniform distribution), in nats."""
    settings: Mapping[str, Any]
    seconds: float
    note: str | None
    converted: tuple[str, ...]
    unfamiliar: float | None


@dataclass(frozen=True, kw_only=True)
class Fills(Summary):
    """All fills of a hole."""

    fills: tuple[Fill, ...]

    @property
    def picture(self) -> Fill:
        """The best fill."""
        return self.fills[self.best]


@dataclass(frozen=True, kw_only=True)
class Mask:
    """A mask as a fill would read it."""

    content: bytes
    """PNG of the picture's size; white is filled."""
    channel: str
    """The channel that was read: luma or alpha."""
    resized: tuple[int, int] | None
    """Width and height before resizing, if the mask was resized."""
    note: str | None


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Classes and prompts that a model takes."""

    classes: int
    """Number of classes for `label`; 0: it has none."""
    labels: tuple[str, ...]
    """Their names, where they are known."""
    prompts: bool
    """Whether it takes a `prompt`."""
    guided: bool
    """Whether `guidance` counts."""


@dataclass(frozen=True, kw_only=True)
class Model:
    name: str
    loaded: bool
    resolution: int | None
    """Side of the model's view in pixels; None until it is loaded."""
    grid: int | None
    codes: int | None
    conditions: Conditions | None
    """None until it is loaded."""
    settings: Mapping[str, Any]
    """Default settings."""


@dataclass(frozen=True, kw_only=True)
class Models:
    version: str
    models: tuple[Model, ...]
    """The first is the default."""
    limits: Mapping[str, float]
    """Limits per request: upload_bytes, pixels, samples, steps, grow."""
    choices: Mapping[str, tuple[str, ...]]
    """Allowed values of the enumerated settings."""


def bytes_of(text: object) -> bytes:
    """Decodes base64. Raises UnexpectedAnswer."""
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise UnexpectedAnswer("the server sent a picture that is no base64") from None


def field(body: object, name: str) -> Any:
    """A field of a JSON object. Raises UnexpectedAnswer if it is missing."""
    if not isinstance(body, dict) or name not in body:
        raise UnexpectedAnswer(f"the server's answer has no {name!r}: it may be another program, or version")
    return body[name]


def fill_of(body: object) -> Fill:
    return Fill(
        seed=int(field(body, "seed")),
        log_likelihood=float(field(body, "log_likelihood")),
        content=bytes_of(field(body, "image")),
    )


def summary_of(body: object) -> dict[str, Any]:
    """The fields of a `Summary`."""
    unfamiliar = field(body, "unfamiliar")
    return {name: field(body, name) for name in ("model", "settings", "note")} | {
        **{name: int(field(body, name)) for name in ("width", "height", "best")},
        **{name: float(field(body, name)) for name in ("most", "seconds")},
        "unfamiliar": None if unfamiliar is None else float(unfamiliar),
        "uncertainty": bytes_of(field(body, "uncertainty")),
        "converted": tuple(field(body, "converted")),
    }


def fills_of(body: object) -> Fills:
    return Fills(**summary_of(body), fills=tuple(map(fill_of, field(body, "fills"))))


def model_of(body: object) -> Model:
    names = ("name", "loaded", "resolution", "grid", "codes", "settings")
    found = field(body, "conditions")
    conditions = None
    if found is not None:
        conditions = Conditions(
            **{name: field(found, name) for name in ("classes", "prompts", "guided")},
            labels=tuple(field(found, "labels")),
        )
    return Model(**{name: field(body, name) for name in names}, conditions=conditions)


def models_of(body: object) -> Models:
    return Models(
        version=str(field(body, "version")),
        models=tuple(map(model_of, field(body, "models"))),
        limits=dict(field(body, "limits")),
        choices={name: tuple(values) for name, values in field(body, "choices").items()},
    )
