"""Parses a client's request into a picture, a mask and parameters; every invalid request is a 4xx error.

Forms and JSON have the same fields. Sizes are checked before anything is decoded; file names are ignored.
"""

import base64
import binascii
import io
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
import numpy as np
from PIL import Image
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartParser
from starlette.requests import ClientDisconnect, Request

from maskmend.errors import ImageError, ImageSizeError, MaskError
from maskmend.fill.guide import as_guide
from maskmend.fill.result import joined_notes
from maskmend.images.canvas import extend_canvas, extended_size, margins_of, read_extension
from maskmend.images.opening import open_image
from maskmend.images.picture import Picture, read_image
from maskmend.masks.morphology import grow
from maskmend.masks.options import MaskOptions
from maskmend.masks.reading import as_mask, read_mask, reads_alpha
from maskmend.progress import Log
from maskmend.server.errors import ApiError, validation_error
from maskmend.server.parameters import IopaintBody, JsonBody, MaskFields, Parameters
from maskmend.server.queue import Slot
from maskmend.server.settings import Limits
from maskmend.server.threads import Threads

B = TypeVar("B", bound=BaseModel)

MARKS = 20_000
"""Quotes, commas, brackets and braces of a JSON body; a body with every field and a long prompt has a
tenth."""


@dataclass(kw_only=True)
class Order:
    """A request for a fill; its files are kept until they are decoded."""

    image: bytes
    mask: bytes | None
    """None where only new canvas is filled (`extend`)."""
    guide: bytes | None = None
    parameters: Parameters

    def forget_files(self) -> None:
        self.image, self.mask, self.guide = b"", None, None


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """The decoded inputs of a fill, all of the same size."""

    picture: Picture
    mask: np.ndarray
    guide: Picture | None
    note: str | None = None
    """Note for the caller about the mask."""


@dataclass(frozen=True, kw_only=True)
class ReadMask:
    """A mask that was sent without an image."""

    hole: np.ndarray
    shape: tuple[int, ...]
    """Rows and columns of the picture in the file."""
    by_alpha: bool
    note: str | None = None
    """Note for the caller, such as that the mask looks like a photograph."""


async def read_order(request: Request) -> Order:
    """A fill from a form or a JSON body. Raises ApiError."""
    kind = content_type(request)
    if kind == "multipart/form-data":
        async with read_form(request) as form:
            parameters = _fields(Parameters, form, {"image", "mask", "guide"})
            image = await _file(form, "image")
            mask = None if "mask" not in form and parameters.extend else await _file(form, "mask")
            guide = await _file(form, "guide") if "guide" in form else None
            return Order(image=image, mask=mask, guide=guide, parameters=parameters)
    if kind == "application/json":
        body = await read_json_body(request, JsonBody)
        if body.mask is None and body.extend is None:
            raise ApiError(422, "parameters_invalid", "mask is missing: send one, or extend")
        given = body.model_dump(exclude_unset=True, exclude={"image", "mask", "guide"})
        files = await _files(image=body.image, mask=body.mask, guide=body.guide)
        return Order(**files, parameters=Parameters.model_validate(given))
    raise unknown_type(kind, "multipart/form-data or application/json")


async def read_upload(request: Request, model: type[B], name: str = "image") -> tuple[bytes, B]:
    """The file called `name` and the fields of `model`, from a form. Raises ApiError."""
    if (kind := content_type(request)) != "multipart/form-data":
        raise unknown_type(kind, "multipart/form-data")
    async with read_form(request) as form:
        return await _file(form, name), _fields(model, form, {name})


async def read_iopaint(request: Request) -> Order:
    """A fill from an IOPaint request body. Raises ApiError."""
    # Not all of its clients set the content type.
    body = await read_json_body(request, IopaintBody, strict=False)
    seed = body.sd_seed if body.sd_seed >= 0 else int(np.random.default_rng().integers(2**31))
    return Order(
        **await _files(image=body.image, mask=body.mask),
        # IOPaint's clients have no way to confirm that a photograph is meant as the mask.
        parameters=Parameters.model_validate(
            {"seed": seed, "mask_channel": "luma", "mask_photo_check": "off"}
        ),
    )


def content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unknown_type(kind: str, wanted: str) -> ApiError:
    return ApiError(415, "unsupported_media_type", f"the body is {kind[:60] or 'of no type'}: send {wanted}")


class InMemory(MultiPartParser):
    """Starlette's parser without files on disk; `security` already limits the body's size."""

    spool_max_size = max_file_size = 0  # never spool; older versions use the second name


@asynccontextmanager
async def read_form(request: Request) -> AsyncIterator[FormData]:
    """The form's parts. Raises ApiError; errors of the machine itself are passed on."""
    bounds = {"max_files": 3, "max_fields": 40, "max_part_size": 64 * 1024}
    try:
        async with aclosing(request.stream()) as stream:
            form = await InMemory(request.headers, stream, **bounds).parse()
    except (ClientDisconnect, ApiError, OSError, MemoryError):
        raise
    except Exception as error:  # the form parser can raise many kinds of error
        raise ApiError(400, "form_malformed", f"the form cannot be read: {str(error)[:200]}") from None
    try:
        names = [name for name, _ in form.multi_items()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ApiError(422, "parameters_invalid", f"{twice[0][:60]} is given more than once")
        yield form
    finally:
        await form.close()


async def read_json_body(request: Request, model: type[B], *, strict: bool = True) -> B:
    """The body as `model`. Raises ApiError."""
    body = await request.body()
    return await anyio.to_thread.run_sync(lambda: _parsed(body, model, strict))


def _parsed(body: bytes, model: type[B], strict: bool) -> B:
    # Each key that is not known is an error of its own, and each value an object: a body of 30 MB would be
    # gigabytes of them.
    if sum(body.count(mark) for mark in (b'"', b",", b"[", b"{")) > MARKS:
        raise ApiError(
            422,
            "parameters_invalid",
            f"the body has more than {MARKS} quotes, commas and brackets: send image, mask and parameters",
        )
    try:
        return model.model_validate_json(body, strict=strict)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise ApiError(400, "json_malformed", f"the body is no JSON: {first['msg']}") from None
        raise validation_error(error, model.model_fields) from None


async def _files(**texts: str | None) -> dict[str, Any]:
    """The files of a JSON body by their names, decoded beside the event loop. Raises ApiError."""
    return await anyio.to_thread.run_sync(
        lambda: {name: None if text is None else from_base64(text, name) for name, text in texts.items()}
    )


def from_base64(text: str, name: str) -> bytes:
    """Decodes base64 or a data URI. Raises ApiError (422)."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(422, f"{name}_unusable", f"the {name} is no base64: encode the file's bytes") from None
    if not content:
        raise ApiError(422, f"{name}_unusable", f"the {name} is empty: encode the file's bytes")
    return content


async def _file(form: FormData, name: str) -> bytes:
    found = form.get(name)
    if not isinstance(found, UploadFile):
        what = "missing" if found is None else "a plain field"
        raise ApiError(422, "parameters_invalid", f"{name} is {what}: send it as a file of the form")
    content = await found.read()
    if not content:
        raise ApiError(422, f"{name}_unusable", f"the {name} is an empty file")
    return content


def _fields(model: type[B], form: FormData, files: set[str]) -> B:
    """The form's other fields; empty ones count as omitted."""
    given = {name: value for name, value in form.multi_items() if name not in files and value != ""}
    uploads = [name for name, value in given.items() if isinstance(value, UploadFile)]
    if uploads:
        raise ApiError(422, "parameters_invalid", f"{uploads[0][:60]} is a file: send it as a plain field")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise validation_error(error, model.model_fields) from None


class Decoder:
    """Decodes uploads one at a time: it saves memory, and Pillow's warning filters are process-wide."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.threads = Threads("maskmend-decoder", 1)

    async def picture(
        self, content: bytes, slot: Slot, samples: int = 1, *, convert: bool = False
    ) -> Picture:
        """Raises ImageError, or ApiError (429) when this image and its `samples` fills exceed the memory
        limit."""

        def work() -> Picture:
            with open_image(content, max_pixels=self.limits.pixels, several=True) as image:
                # A result is about as large as the image.
                slot.reserve_pixels(image.width * image.height * (1 + samples) // 2)
            return read_image(content, max_pixels=self.limits.pixels, convert=convert)

        return await self.threads.run(work)

    async def order(self, order: Order, slot: Slot) -> Decoded:
        """Raises ImageError, MaskError, ConfigError or ApiError."""
        parameters, extend = order.parameters, order.parameters.extend
        before = await self.picture(order.image, slot, parameters.samples, convert=parameters.convert)
        height, width = before.pixels.shape[:2]
        if extend is not None:
            margins = margins_of(height, width, read_extension(extend))
            tall, wide = extended_size(height, width, margins, max_pixels=self.limits.pixels)
            slot.reserve_pixels((tall * wide - height * width) * (1 + parameters.samples) // 2)

        notes: list[str] = []

        def work() -> tuple[Picture, np.ndarray]:
            hole = (
                None
                if order.mask is None
                else self._mask(order.mask, (height, width), parameters, notes.append)
            )
            if extend is None:
                assert hole is not None  # `read_order` wants one of the two
                picture = before
            else:
                picture, hole = extend_canvas(before, extend, mask=hole, max_pixels=self.limits.pixels)
            return picture, grow(hole, parameters.grow)

        picture, mask = await self.threads.run(work)
        guide = None
        if order.guide is not None:
            guide = await self._guide(order.guide, mask, slot, convert=parameters.convert)
        return Decoded(picture=picture, mask=mask, guide=guide, note=joined_notes(*notes))

    async def mask(self, content: bytes, wanted: MaskFields, slot: Slot) -> ReadMask:
        """A mask without an image. Raises MaskError, ImageSizeError, or ApiError (413, 429)."""
        if wanted.width * wanted.height > self.limits.pixels:
            raise ImageSizeError(
                f"width x height is {wanted.width * wanted.height / 1e6:.1f} Mpx, more than the limit of "
                f"{self.limits.pixels / 1e6:g} Mpx: scale the picture down."
            )
        options, notes = wanted.mask_options(), []

        def work() -> ReadMask:
            try:
                with open_image(content, max_pixels=self.limits.pixels) as image:
                    slot.reserve_pixels(image.width * image.height + wanted.width * wanted.height)
                    hole = as_mask(image, options=options, note=notes.append)
            except ImageError as error:
                raise MaskError(f"the mask cannot be used: {error}") from error
            return ReadMask(
                hole=as_mask(hole, size=(wanted.height, wanted.width), options=MaskOptions(fit=options.fit)),
                shape=hole.shape,
                by_alpha=reads_alpha(content, options.channel),
                note=joined_notes(*notes),
            )

        return await self.threads.run(work)

    def _mask(self, content: bytes, size: tuple[int, int], parameters: Parameters, note: Log) -> np.ndarray:
        return read_mask(
            content,
            size=size,
            options=parameters.mask_options(),
            note=note,
            max_pixels=self.limits.pixels,
        )

    async def _guide(self, content: bytes, mask: np.ndarray, slot: Slot, *, convert: bool) -> Picture:
        """The guide, with its size checked. Raises ApiError, ImageSizeError."""
        try:
            picture = await self.picture(content, slot, convert=convert)
            as_guide(picture, mask)
        except ImageSizeError:
            raise
        except ImageError as error:
            raise ApiError(422, "guide_unusable", f"the guide cannot be used: {error}") from None
        return picture


def png(levels: np.ndarray) -> bytes:
    """Encodes a grey (H, W) or colour (H, W, 3) array as PNG, with fast compression."""
    content = io.BytesIO()
    Image.fromarray(levels).save(content, "PNG", compress_level=1)
    return content.getvalue()
