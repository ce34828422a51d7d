"""The parameters of a fill as the API knows them: one model for the JSON body and for the fields of a form.

Ranges are narrower than the command line's: each bounds what one request can cost.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from maskmend.masks.options import MaskOptions

Schedule = Literal["cosine", "linear", "square", "square_root", "arccos", "cubic", "log", "exp"]
Order = Literal["confidence", "random", "halton"]
Seam = Literal["hard", "feather", "multiband", "poisson"]
Infill = Literal["grey", "mean", "nearest", "diffusion"]
Format = Annotated[
    Literal["png", "jpeg", "jpg", "webp"], AfterValidator(lambda name: "jpeg" if name == "jpg" else name)
]
Quality = Annotated[
    int | None,
    Field(ge=1, le=100, description="Of JPEG and WebP. Left out: JPEG at 95, WebP without loss."),
]
Convert = Annotated[
    bool,
    Field(
        description="Take 16 bits a channel as 8, CMYK as sRGB, of an animation the first frame; refused "
        "otherwise."
    ),
]

MAX_SEED = 2**53 - 1
"""What every JSON reader takes for a whole number; the pipeline itself knows larger ones."""

MOST_GROWTH = 128

_SETTINGS = (
    "steps", "schedule", "order", "confidence", "noise", "choice", "temperature", "top_k", "top_p",
    "sweet_spot", "infill", "ring", "share", "seam", "ranking", "plain", "context", "windows", "detail",
    "detail_steps", "guide_strength", "label", "prompt", "guidance",
)  # fmt: skip

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
        description="New canvas to fill beside the image: left=200,right=10%; also top, bottom. A mask has "
        "the image's size, a guide the canvas'.",
    ),
]


class MaskReading(BaseModel):
    """How a mask is read."""

    model_config = ConfigDict(extra="forbid")

    invert_mask: bool = Field(False, description="Black is filled instead of white.")
    fit_mask: bool = Field(False, description="Resize a mask of another size to the image.")
    mask_channel: Literal["auto", "luma", "alpha"] = "auto"
    mask_threshold: float = Field(0.5, gt=0, le=1, description="Brightness from which grey is filled.")
    mask_photo_check: Literal["warn", "refuse", "off"] = Field(
        "warn", description="What happens to a mask that looks like a photograph."
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
    """A mask by itself, for a picture of this size."""

    width: int = Field(ge=1, le=1_000_000, description="Of the picture, in pixels.")
    height: int = Field(ge=1, le=1_000_000)


class Parameters(MaskReading):
    """Everything about a fill but its image and mask; what is left out is the model's own default.

    The most samples and steps are each server's own: `Service.check` knows them.
    """

    model: str | None = Field(
        None, max_length=200, description="A name of /v1/models; the first if left out."
    )
    samples: int = Field(1, ge=1, description="Fills, of seeds seed, seed + 1, ...")
    seed: int = Field(
        0,
        ge=0,
        le=MAX_SEED,
        description="The same seed gives the same fill. That of the last is bounded too.",
    )
    grow: int = Field(0, ge=0, le=MOST_GROWTH, description="The hole is made larger by so many pixels.")
    steps: int | None = Field(None, ge=1, description="Decoding steps.")
    schedule: Schedule | None = Field(None, description="How fast the hole empties.")
    order: Order | None = Field(None, description="Which tokens are kept first.")
    confidence: Literal["log_probability", "probability"] | None = None
    noise: float | None = Field(None, ge=0, le=1000, description="On the confidence; 0 keeps the surest.")
    choice: Literal["sample", "argmax"] | None = None
    temperature: float | None = Field(None, ge=0, le=100, description="Below 1 safer, above 1 more varied.")
    top_k: int | None = Field(None, ge=1, le=1_000_000)
    top_p: float | None = Field(None, gt=0, le=1)
    sweet_spot: int | None = Field(None, ge=1, description="Stop after this step.")
    infill: Infill | None = Field(None, description="What stands in the hole before encoding.")
    ring: int | None = Field(None, ge=0, le=64, description="Tokens around the hole predicted anew.")
    share: float | None = Field(None, ge=0, lt=1)
    seam: Seam | None = Field(None, description="How fill and known pixels meet.")
    ranking: Literal["likelihood", "typical"] | None = Field(
        None, description="Which of several fills is the best: the likeliest, or that of median likelihood."
    )
    plain: float | None = Field(
        None, ge=0, le=255, description="Roughness of the surroundings up to which a hole is interpolated."
    )
    context: float | None = Field(None, ge=0, le=100, description="How much is seen around the hole.")
    windows: int | None = Field(None, ge=1, le=1024, description="Most windows on one long, thin hole.")
    detail: Literal["auto", "full"] | Annotated[int, Field(ge=0, le=16)] | None = Field(
        None, description="Finer scales at which a wide hole is drawn anew: auto, full, or at most so many."
    )
    detail_steps: int | None = Field(None, ge=1, description="Decoding steps at the finer scales.")
    guide_strength: float | None = Field(
        None, ge=0, le=1, description="How far a guide's colours count; 0: as without one."
    )
    label: Annotated[int, Field(ge=0, le=1_000_000)] | Annotated[str, Field(max_length=200)] | None = Field(
        None, description="Class of what is filled, of a model that has any: number, name, or auto."
    )
    prompt: str | None = Field(
        None, max_length=1000, description="Words for what is filled, of a model that keeps prompts."
    )
    guidance: float | None = Field(
        None,
        ge=0,
        le=20,
        description="How far class or prompt count; 1: as it is, above: more, twice the time.",
    )
    extend: Extension = None
    convert: Convert = False
    format: Format = Field(
        "png",
        description="Of the pictures that come back; left out, Accept may say it: image/webp, image/jpeg.",
    )
    quality: Quality = None

    def settings(self) -> dict[str, Any]:
        """Those that are settings of the pipeline and were given."""
        values = {name: getattr(self, name) for name in _SETTINGS}
        return {name: value for name, value in values.items() if value is not None}


class JsonBody(Parameters):
    """Parameters with image, mask and guide in base64; data URIs will do. With `extend` the mask may be left
    out."""

    image: str = Field(min_length=1, description="A PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF file in base64.")
    mask: str | None = Field(None, min_length=1, description="Likewise; white, or erased, is filled.")
    guide: str | None = Field(
        None,
        min_length=1,
        description="Likewise, with transparency: colours to draw from, where they lie in the hole.",
    )


class IopaintBody(BaseModel):
    """What IOPaint's clients send, as far as it means something here; other fields are passed over."""

    model_config = ConfigDict(extra="ignore")

    image: str = Field(min_length=1, description="base64, with or without a data URI's head")
    mask: str = Field(min_length=1, description="base64; brighter than 127 is filled")
    sd_seed: int = Field(42, ge=-1, le=MAX_SEED, description="-1 for a random one")

    @model_validator(mode="before")
    @classmethod
    def _explicit(cls, values: Any) -> Any:
        # Some clients send null for what they leave to the server.
        if isinstance(values, dict) and values.get("sd_seed", 0) is None:
            return {name: value for name, value in values.items() if name != "sd_seed"}
        return values


EITHER: dict[str, Any] = {
    "anyOf": [
        {"required": ["image", "mask"], "properties": {"mask": {"type": "string"}}},
        {"required": ["image", "extend"], "properties": {"extend": {"type": "string"}}},
    ]
}
"""Of a fill's fields: there is a mask, or new canvas."""


def fill_schema(model: type[Parameters], *, samples: int, steps: int) -> dict[str, Any]:
    """The JSON schema of `model` with one server's limits.

    Models' names are not in it: the description is told to those without a token too.
    """
    schema = model.model_json_schema()
    properties = schema["properties"]
    properties["samples"]["maximum"] = samples
    for name in ("steps", "sweet_spot", "detail_steps"):
        number, _ = properties[name]["anyOf"]  # or null
        number["maximum"] = steps
    return schema | EITHER


def form_schema(schema: dict[str, Any], *files: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """A JSON schema as that of a multipart form with `files`, and others that may be left out.

    A form cannot say null: it leaves out.
    """
    fields = {}
    for name, field in schema["properties"].items():
        if "anyOf" in field:
            kinds = [one for one in field["anyOf"] if one != {"type": "null"}]
            rest = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
            field = (kinds[0] if len(kinds) == 1 else {"anyOf": kinds}) | rest
        if field.get("type") == "boolean":  # all is text there, and these are read alike
            field = {key: value for key, value in field.items() if key != "type"} | {
                "enum": [True, False, 1, 0]
            }
        fields[name] = field
    uploads = {name: {"type": "string", "format": "binary"} for name in (*files, *optional)}
    return schema | {"properties": uploads | fields, "required": [*files, *schema.get("required", [])]}
