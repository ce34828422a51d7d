"""The parameters of a fill in the API: one model for the JSON body and the form fields.

The ranges are narrower than on the command line, to bound the cost of a request.
"""

import re
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from maskmend.masks.options import Channel, MaskOptions, PhotoCheck
from maskmend.settings import Choice, Confidence, Infill, Order, Ranking, Schedule, Seam, Settings

Format = Annotated[
    Literal["png", "jpeg", "jpg", "webp"], AfterValidator(lambda name: "jpeg" if name == "jpg" else name)
]
Quality = Annotated[
    int | None,
    Field(ge=1, le=100, description="Quality of JPEG and WebP. Default: JPEG at 95, lossless WebP."),
]
Convert = Annotated[
    bool,
    Field(
        description="Convert 16 bits per channel to 8 and CMYK to sRGB, and take the first frame of an "
        "animation. Such pictures are refused otherwise."
    ),
]

MAX_SEED = 2**53 - 1
"""Largest integer that every JSON parser reads exactly; the pipeline itself accepts larger seeds."""

MOST_GROWTH = 128

_SETTINGS = tuple(each.name for each in fields(Settings))

_MARGIN = r"(left|right|top|bottom)=[0-9]{1,5}(\.[0-9]{1,3})?%?"
_EXTENSION = f"^{_MARGIN}(,{_MARGIN}){{0,3}}$"


def _checked_extension(text: str) -> str:
    if re.fullmatch(_EXTENSION, text) is None or "\n" in text:
        raise ValueError("write SIDE=LENGTH in pixels or percent, such as left=200,right=10%")
    return text


Extension = Annotated[
    Annotated[str, AfterValidator(_checked_extension), Field(json_schema_extra={"pattern": _EXTENSION})]
    | None,
    Field(
        description="Extends the canvas and fills the new area: left=200,right=10%; also top, bottom. A "
        "mask has the size of the image, a guide that of the canvas.",
    ),
]


class MaskReading(BaseModel):
    """How a mask is read."""

    model_config = ConfigDict(extra="forbid")

    invert_mask: bool = Field(False, description="Fill black instead of white.")
    fit_mask: bool = Field(False, description="Resize a mask of a different size to fit the image.")
    mask_channel: Channel = "auto"
    mask_threshold: float = Field(0.5, gt=0, le=1, description="Brightness at or above which grey is filled.")
    mask_photo_check: PhotoCheck = Field(
        "warn", description="How to treat a mask that looks like a photograph."
    )

    def mask_options(self) -> MaskOptions:
        """How the mask is read."""
        return MaskOptions(
            threshold=self.mask_threshold,
            invert=self.invert_mask,
            channel=self.mask_channel,
            fit=self.fit_mask,
            photo_check=self.mask_photo_check,
        )


class MaskFields(MaskReading):
    """A mask without an image, for a picture of this size."""

    width: int = Field(ge=1, le=1_000_000, description="Width of the picture in pixels.")
    height: int = Field(ge=1, le=1_000_000)


class Parameters(MaskReading):
    """All parameters of a fill except its image and mask. Omitted ones take the model's default.

    Each server has its own limits for samples and steps: see `Service.check`.
    """

    model: str | None = Field(None, max_length=200, description="A name from /v1/models; default: the first.")
    samples: int = Field(1, ge=1, description="Number of fills, with seeds seed, seed + 1, ...")
    seed: int = Field(
        0,
        ge=0,
        le=MAX_SEED,
        description="The same seed gives the same fill. The maximum also holds for the last sample's seed.",
    )
    grow: int = Field(0, ge=0, le=MOST_GROWTH, description="Pixels by which the hole is enlarged.")
    steps: int | None = Field(None, ge=1, description="Decoding steps.")
    schedule: Schedule | None = Field(None, description="Mask schedule: how fast the hole is unmasked.")
    order: Order | None = Field(None, description="Which tokens are unmasked first.")
    confidence: Confidence | None = None
    noise: float | None = Field(None, ge=0, le=1000, description="Noise on the confidence; 0 for none.")
    choice: Choice | None = None
    temperature: float | None = Field(None, ge=0, le=100, description="Lower is safer, higher more varied.")
    top_k: int | None = Field(None, ge=1, le=1_000_000)
    top_p: float | None = Field(None, gt=0, le=1)
    sweet_spot: int | None = Field(None, ge=1, description="Stop after this step.")
    infill: Infill | None = Field(None, description="How the hole is filled before encoding.")
    ring: int | None = Field(None, ge=0, le=64, description="Width in tokens re-predicted around the hole.")
    share: float | None = Field(None, ge=0, lt=1)
    seam: Seam | None = Field(None, description="How the fill is blended with the known pixels.")
    ranking: Ranking | None = Field(
        None, description="How the best of several fills is chosen: highest likelihood, or median."
    )
    plain: float | None = Field(
        None, ge=0, le=255, description="Holes in surroundings up to this roughness are interpolated."
    )
    context: float | None = Field(None, ge=0, le=100, description="Amount of context around the hole.")
    windows: int | None = Field(None, ge=1, le=1024, description="Maximum windows for a long, thin hole.")
    detail: Literal["auto", "full"] | Annotated[int, Field(ge=0, le=16)] | None = Field(
        None, description="Finer scales at which a wide hole is refilled: auto, full, or a maximum number."
    )
    detail_steps: int | None = Field(None, ge=1, description="Decoding steps at each finer scale.")
    guide_strength: float | None = Field(
        None, ge=0, le=1, description="Influence of the guide's colours; 0 ignores the guide."
    )
    label: Annotated[int, Field(ge=0, le=1_000_000)] | Annotated[str, Field(max_length=200)] | None = Field(
        None, description="Class to fill with, for class-conditional models: number, name, or auto."
    )
    prompt: str | None = Field(
        None, max_length=1000, description="Text prompt for the fill, for models with stored prompts."
    )
    guidance: float | None = Field(
        None,
        ge=0,
        le=20,
        description="Guidance scale for the class or prompt, which must be given. 1 is none; above 1 takes "
        "twice the time.",
    )
    extend: Extension = None
    convert: Convert = False
    format: Format = Field(
        "png",
        description="Format of returned pictures. If omitted, Accept decides: image/webp or image/jpeg.",
    )
    quality: Quality = None

    def settings(self) -> dict[str, Any]:
        """The pipeline settings among the parameters that were given."""
        values = {name: getattr(self, name) for name in _SETTINGS}
        return {name: value for name, value in values.items() if value is not None}


class JsonBody(Parameters):
    """Parameters with image, mask and guide in base64 or as data URIs. With `extend` the mask is optional."""

    image: str = Field(min_length=1, description="A PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF file in base64.")
    mask: str | None = Field(None, min_length=1, description="Likewise; white or transparent is filled.")
    guide: str | None = Field(
        None,
        min_length=1,
        description="Likewise, with transparency: its opaque pixels inside the hole guide the colours.",
    )


class IopaintBody(BaseModel):
    """The supported fields of an IOPaint request; others are ignored."""

    model_config = ConfigDict(extra="ignore")

    image: str = Field(min_length=1, description="base64, with or without a data URI prefix")
    mask: str = Field(min_length=1, description="base64; brighter than 127 is filled")
    sd_seed: int = Field(42, ge=-1, le=MAX_SEED, description="-1 for a random one")

    @model_validator(mode="before")
    @classmethod
    def _explicit(cls, values: Any) -> Any:
        # Some clients send null to request the server's default.
        if isinstance(values, dict) and values.get("sd_seed", 0) is None:
            return {name: value for name, value in values.items() if name != "sd_seed"}
        return values


EITHER: dict[str, Any] = {
    "anyOf": [
        {"required": ["image", "mask"], "properties": {"mask": {"type": "string"}}},
        {"required": ["image", "extend"], "properties": {"extend": {"type": "string"}}},
    ]
}
"""Schema constraint on a fill: it needs a mask or `extend`."""


def fill_schema(model: type[Parameters], *, samples: int, steps: int) -> dict[str, Any]:
    """The JSON schema of `model` with one server's limits.

    It does not contain the models' names, as the API description is public even where a token is set.
    """
    schema = model.model_json_schema()
    properties = schema["properties"]
    properties["samples"]["maximum"] = samples
    for name in ("steps", "sweet_spot", "detail_steps"):
        number, _ = properties[name]["anyOf"]  # or null
        number["maximum"] = steps
    return schema | EITHER


def form_schema(schema: dict[str, Any], *files: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Turns a JSON schema into that of a multipart form with required `files` and `optional` ones.

    Forms have no null: such fields are omitted instead.
    """
    fields = {}
    for name, field in schema["properties"].items():
        if "anyOf" in field:
            kinds = [one for one in field["anyOf"] if one != {"type": "null"}]
            rest = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
            field = (kinds[0] if len(kinds) == 1 else {"anyOf": kinds}) | rest
        if field.get("type") == "boolean":  # form values are text; these all parse as booleans
            field = {key: value for key, value in field.items() if key != "type"} | {
                "enum": [True, False, 1, 0]
            }
        fields[name] = field
    uploads = {name: {"type": "string", "format": "binary"} for name in (*files, *optional)}
    return schema | {"properties": uploads | fields, "required": [*files, *schema.get("required", [])]}
