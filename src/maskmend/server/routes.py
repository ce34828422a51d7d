"""The API: fills, format conversion, models, health and metrics."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Message, Receive, Scope, Send

from maskmend import __version__
from maskmend.server.deliveries import Delivery
from maskmend.server.errors import ApiError, failures, stopping
from maskmend.server.parameters import (
    MOST_GROWTH,
    Convert,
    Format,
    IopaintBody,
    JsonBody,
    MaskFields,
    Parameters,
    Quality,
    fill_schema,
    form_schema,
)
from maskmend.server.queue import Slot
from maskmend.server.requests import Order, png, read_iopaint, read_order, read_upload
from maskmend.server.responses import MEDIA, Answer, accepted, converted_header, encoded, event, fill_of
from maskmend.server.service import GRACE, FillResponse, Service
from maskmend.settings import CHOICES_OF

T = TypeVar("T")


class Conditions(BaseModel):
    classes: int = Field(description="Number of classes for `label`; 0 if the model has none.")
    labels: list[str] = Field(description="Names of the classes, if known.")
    prompts: bool = Field(description="Whether the model takes a `prompt`.")
    guided: bool = Field(description="Whether `guidance` has an effect.")


class Model(BaseModel):
    name: str
    loaded: bool
    resolution: int | None = Field(description="Side of the model's view in pixels; null until loaded.")
    grid: int | None = Field(description="Side of the model's view in tokens.")
    codes: int | None = Field(description="Size of its codebook.")
    conditions: Conditions | None = Field(description="Conditioning that it takes; null until loaded.")
    settings: dict[str, Any] = Field(description="Its defaults.")


class Models(BaseModel):
    version: str
    models: list[Model] = Field(description="The first is the default.")
    limits: dict[str, float] = Field(
        description="Limits per request: upload_bytes, pixels, samples, steps, grow."
    )
    choices: dict[str, list[str]] = Field(description="Allowed values of the enumerated settings.")


class State(BaseModel):
    status: str


class Conversion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Format = "png"
    quality: Quality = None
    convert: Convert = False


class SlotStream(StreamingResponse):
    """A stream that releases its queue slot, if it still holds it, when it ends, even if it never started.

    It ends no later than `delivery`. If the server has to stop first, an error event is sent last.
    """

    def __init__(self, content: AsyncGenerator[bytes, None], slot: Slot, delivery: Delivery) -> None:
        super().__init__(content, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self.content, self.slot, self.delivery = content, slot, delivery

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            await send(message)
            begun = message.get("more_body", True)

        try:
            try:
                await self.delivery.deliver(super().__call__(scope, receive, self.delivery.through(sending)))
            finally:
                await self.content.aclose()  # it may be suspended at a yield
                self.slot.release()
        except asyncio.CancelledError:  # the drain time is over
            if not begun:
                raise
            await send({"type": "http.response.body", "body": event("error", stopping().body())})


def build_routes(service: Service) -> APIRouter:
    router = APIRouter()
    unusable = failures(400, 401, 403, 406, 408, 413, 415, 422, 429, 503, 504)
    limits = {"samples": service.limits.samples, "steps": service.limits.steps}
    pictures = {media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA.values()}

    @router.post(
        "/v1/inpaint",
        summary="Fill a hole",
        description="The Accept header selects the response: one picture (the best fill), all fills as JSON, "
        "or a stream of events: queued, started, step..., level..., fill..., done, or error. Without "
        "`format`, image/webp or image/jpeg in Accept selects the picture format.",
        response_class=Response,
        responses={
            200: {
                "model": Answer,
                "description": "The fill.",
                "content": pictures | {"text/event-stream": {"schema": {"type": "string"}}},
            }
        }
        | unusable,
        openapi_extra=body_schema(
            (
                "multipart/form-data",
                form_schema(fill_schema(Parameters, **limits), "image", optional=("mask", "guide")),
            ),
            ("application/json", fill_schema(JsonBody, **limits)),
        ),
    )
    async def inpaint(request: Request) -> Response:
        wanted = accepted(request)
        until = service.deadline()
        order, slot = await received(service, request, read_order, until)
        try:
            order.parameters.format = wanted.format(order.parameters)
            if wanted.kind == "events":
                service.check(order.parameters)  # a stream that has begun can no longer send an error status
                delivery = service.deliveries.begin(until + GRACE)
                stream = SlotStream(service.events(order, slot, until, delivery), slot, delivery)
                slot = None  # the stream releases it from here on
                return stream
            answer = json_answer if wanted.kind == "json" else picture_answer
            return service.delivered(await answered(service, request, order, slot, answer, until))
        finally:
            if slot is not None:
                slot.release()

    @router.post(
        "/v1/convert",
        summary="Write a picture in another format",
        description="Keeps pixels, transparency, colour profile and EXIF; applies the EXIF orientation. What "
        "cannot be kept is refused, or converted with `convert`: X-Maskmend-Converted lists the conversions.",
        response_class=Response,
        responses={200: {"description": "The file.", "content": pictures}} | unusable,
        openapi_extra=body_schema(
            ("multipart/form-data", form_schema(Conversion.model_json_schema(), "image"))
        ),
    )
    async def convert(request: Request) -> Response:
        until = service.deadline()
        (content, chosen), slot = await received(
            service, request, lambda body: read_upload(body, Conversion), until
        )
        with slot:

            async def work() -> bytes:
                nonlocal headers
                picture = await service.decoder.picture(content, slot, convert=chosen.convert)
                headers = converted_header(picture)
                return await service.encode(lambda: encoded(picture, chosen.format, chosen.quality), until)

            headers: dict[str, str] = {}
            file = await in_time(service, work, until)
            return service.delivered(Response(file, media_type=MEDIA[chosen.format], headers=headers))

    @router.post(
        "/v1/mask",
        summary="Read a mask",
        description="Reads the mask as a fill would, with the same checks, for a picture of `width` x "
        "`height`. X-Maskmend-Channel says whether brightness (luma) or transparency (alpha) was read, "
        "X-Maskmend-Resized gives the original size if `fit_mask` changed it.",
        response_class=Response,
        responses={
            200: {
                "description": "The mask: a PNG of that size; white is filled.",
                "content": {"image/png": pictures["image/png"]},
            }
        }
        | unusable,
        openapi_extra=body_schema(
            ("multipart/form-data", form_schema(MaskFields.model_json_schema(), "mask"))
        ),
    )
    async def mask(request: Request) -> Response:
        until = service.deadline()
        (content, wanted), slot = await received(
            service, request, lambda body: read_upload(body, MaskFields, "mask"), until
        )
        with slot:

            async def work() -> Response:
                read = await service.decoder.mask(content, wanted, slot)
                file = await service.encode(lambda: png(read.hole.astype("uint8") * 255), until)
                headers = {"X-Maskmend-Channel": "alpha" if read.by_alpha else "luma"}
                if read.shape != read.hole.shape:
                    headers["X-Maskmend-Resized"] = f"{read.shape[1]}x{read.shape[0]}"
                if read.note:
                    headers["X-Maskmend-Note"] = read.note.encode("ascii", "replace").decode()
                return Response(file, media_type="image/png", headers=headers)

            return service.delivered(await in_time(service, work, until))

    @router.post(
        "/api/v1/inpaint",
        summary="Fill a hole (IOPaint's API)",
        response_class=Response,
        responses={200: {"description": "The fill.", "content": {"image/png": pictures["image/png"]}}}
        | unusable,
        openapi_extra=body_schema(("application/json", IopaintBody.model_json_schema())),
    )
    async def iopaint(request: Request) -> Response:
        until = service.deadline()
        order, slot = await received(service, request, read_iopaint, until)
        with slot:
            answer = await answered(service, request, order, slot, picture_answer, until)
            answer.headers["X-Seed"] = str(order.parameters.seed)
            return service.delivered(answer)

    @router.get("/v1/models", summary="Models, limits and choices", responses=failures(400, 401, 403))
    async def models() -> Models:
        limits = service.limits
        return Models(
            version=__version__,
            models=[Model(**entry.about()) for entry in service.catalogue.entries.values()],
            limits={
                "upload_bytes": limits.upload_bytes,
                "pixels": limits.pixels,
                "samples": limits.samples,
                "steps": limits.steps,
                "grow": MOST_GROWTH,
            },
            choices={
                **{name: list(CHOICES_OF[name]) for name in ("schedule", "order", "seam", "infill")},
                "format": list(MEDIA),
            },
        )

    @router.get("/healthz", summary="The process is alive", responses=failures(400, 403))
    async def healthz() -> State:
        return State(status="alive")

    @router.get("/readyz", summary="Fills are taken", responses=failures(400, 403, 503))
    async def readyz() -> State:
        if service.ready is not None:
            raise ApiError(503, "not_ready", service.ready, {"Retry-After": "1"})
        return State(status="ready")

    @router.get(
        "/metrics",
        summary="Counters for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
        | failures(400, 401, 403),
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def body_schema(*kinds: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """For the API description: a request body that is parsed by hand."""
    content = {kind: {"schema": schema} for kind, schema in kinds}
    return {"requestBody": {"required": True, "content": content}}


async def received(
    service: Service, request: Request, read: Callable[[Request], Awaitable[T]], until: float
) -> tuple[T, Slot]:
    """Reads the body with `read` and takes a queue slot. Raises ApiError (408, 429, 503)."""
    with service.uploads.begin(request) as upload:
        content = await upload.read(read(upload.request), until)
        return content, upload.take_slot()


async def in_time(service: Service, work: Callable[[], Awaitable[T]], until: float) -> T:
    """Awaits `work` with a time limit. Raises ApiError (504)."""
    try:
        async with asyncio.timeout_at(until):
            return await work()
    except TimeoutError:
        raise service.too_slow() from None


Answering = Callable[[Service, FillResponse, Order, float], Awaitable[Response]]


async def answered(
    service: Service, request: Request, order: Order, slot: Slot, answer: Answering, until: float
) -> Response:
    """The fill and its encoding, within the time limit."""

    async def work() -> Response:
        return await service.answered(
            request, order, slot, lambda filled: answer(service, filled, order, until)
        )

    return await in_time(service, work, until)


async def json_answer(service: Service, filled: FillResponse, order: Order, until: float) -> Response:
    """All fills; encoded one by one, so that little work is lost when the time limit expires."""
    fills = []
    for sample in range(order.parameters.samples):
        fills.append(
            await service.encode(lambda n=sample: fill_of(filled.result, n, order.parameters), until)
        )
    return await service.encode(lambda: JSONResponse(service.summary(filled) | {"fills": fills}), until)


async def picture_answer(service: Service, filled: FillResponse, order: Order, until: float) -> Response:
    """The best fill as a file."""
    result, parameters = filled.result, order.parameters
    content = await service.encode(
        lambda: encoded(result.pictures[result.best], parameters.format, parameters.quality), until
    )
    headers = {
        "X-Maskmend-Seed": str(result.seeds[result.best]),
        "X-Maskmend-Log-Likelihood": f"{result.log_likelihood[result.best]:.6f}",
    }
    headers |= converted_header(result.source)
    if result.note:
        # Headers are limited to Latin-1, and the note may name training data in another script.
        headers["X-Maskmend-Note"] = result.note.encode("ascii", "replace").decode()
    if result.unfamiliar is not None:
        headers["X-Maskmend-Unfamiliar"] = f"{result.unfamiliar:.4f}"
    return Response(content, media_type=MEDIA[parameters.format], headers=headers)
