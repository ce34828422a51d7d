"""Error responses: one exception and one JSON shape for every status from 400 to 504.

{"error": {"code": "too_many_pixels", "message": "the image has ..."}}
"""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from maskmend.errors import (
    ConfigError,
    ConversionNeeded,
    ImageError,
    ImageSizeError,
    MaskError,
    MaskmendError,
    ModelError,
)
from maskmend.server.field_errors import field_errors
from maskmend.server.parameters import Parameters

LOG = logging.getLogger("maskmend.server")


class Mistake(BaseModel):
    code: str = Field(
        description="Machine-readable code, such as too_many_pixels.", examples=["too_many_pixels"]
    )
    message: str = Field(description="Human-readable message: what is wrong, and what to do.")
    conversions: list[str] | None = Field(
        None, description="With conversion_needed: the conversions `convert` would apply, e.g. CMYK to sRGB."
    )


class Failure(BaseModel):
    error: Mistake


class ApiError(Exception):
    """Ends a request with `status` and a JSON error."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, dict(more or {})
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message} | self.more}

    def response(self, path: str = "") -> JSONResponse:
        """The response to a request for `path`; IOPaint's clients read the message from "errors"."""
        for_iopaint = {"errors": self.message} if path.startswith("/api/") else {}
        return JSONResponse(self.body() | for_iopaint, self.status, self.headers)


_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


def stopping() -> ApiError:
    """For requests that arrive during shutdown, or are still unfinished when the server must exit."""
    message = "the server is stopping: try again when it is back"
    return ApiError(503, "stopping", message, {"Connection": "close"})


def api_error_from(error: Exception) -> ApiError:
    """The error response for `error`."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ClientDisconnect):  # while sending its body: counted, though nobody receives it
        return ApiError(499, "client_gone", "the client went away")
    if isinstance(error, ImageSizeError):
        return ApiError(413, "too_many_pixels", in_fields(str(error)))
    if isinstance(error, MaskError):
        return ApiError(422, "mask_unusable", in_fields(str(error)))
    if isinstance(error, ConversionNeeded):
        more = {"conversions": list(error.offers)}
        return ApiError(422, "conversion_needed", in_fields(str(error)), more=more)
    if isinstance(error, ImageError):
        return ApiError(422, "image_unusable", in_fields(str(error)))
    if isinstance(error, ConfigError):
        return ApiError(422, "setting_invalid", in_fields(str(error)))
    if isinstance(error, ModelError):
        # The reason contains folder paths, which are not revealed to clients.
        LOG.error("a model cannot be used: %s", error)
        return ApiError(503, "model_unavailable", "the model cannot be used: see the server's log")
    if isinstance(error, MaskmendError):
        return ApiError(422, "unusable", in_fields(str(error)))
    LOG.error("a request failed", exc_info=error)
    return ApiError(
        503, "failed", "the server could not do this; see its log. Try again, or a smaller picture.",
        {"Retry-After": "5"},
    )  # fmt: skip


def in_fields(message: str) -> str:
    """Translates a command-line message into API terms: `--fit-mask` becomes the field `fit_mask`.

    Options without a corresponding field are kept; hints for Python users are removed.
    """

    def field(option: re.Match[str]) -> str:
        name = option[1].replace("-", "_")
        return name if name in Parameters.model_fields else option[0]

    return re.sub(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)", field, re.sub(r" \(in Python: [^()]*\)", "", message))


def validation_error(
    error: ValidationError | RequestValidationError, known: Iterable[str] = Parameters.model_fields
) -> ApiError:
    """What is wrong with a request's fields, in one line; `known` are the valid field names."""
    problems = error.errors(include_url=False) if isinstance(error, ValidationError) else error.errors()
    return ApiError(422, "parameters_invalid", "; ".join(field_errors(problems, known))[:1000])


def install(app: FastAPI) -> None:
    """Makes `app` return every error as JSON."""

    @app.exception_handler(Exception)
    async def _any(request: Request, error: Exception) -> JSONResponse:
        return api_error_from(error).response(request.url.path)

    for kind in (ApiError, MaskmendError):
        app.add_exception_handler(kind, _any)

    @app.exception_handler(RequestValidationError)
    async def _fields(request: Request, error: RequestValidationError) -> JSONResponse:
        return validation_error(error).response(request.url.path)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "refused")
        refusal = ApiError(error.status_code, code, str(error.detail), error.headers)
        return refusal.response(request.url.path)


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the API description: these statuses return a `Failure`."""
    meanings = {
        400: "The request is malformed, or names a host that is not served.",
        401: "The token is missing or wrong.",
        403: "The request comes from another site's page.",
        404: "There is nothing here.",
        406: "No such answer: ask for image/png, image/webp, image/jpeg, application/json or "
        "text/event-stream.",
        408: "The request took too long to arrive.",
        413: "The body or the picture is larger than allowed.",
        415: "The body is of an unknown type.",
        422: "The picture, the mask or a parameter cannot be used.",
        429: "Too many requests at once: come back after Retry-After seconds.",
        503: "The model cannot be used, or the server is stopping.",
        504: "The fill took longer than the time limit.",
    }
    return {status: {"model": Failure, "description": meanings[status]} for status in statuses}
