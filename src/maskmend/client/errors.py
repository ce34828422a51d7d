"""The server's errors as exceptions: one class per status, with the server's message.

{"error": {"code": "too_many_pixels", "message": "..."}} and the status 413 ─► TooLarge
"""

import json
from typing import Any

from maskmend.errors import MaskmendError


class ServerError(MaskmendError):
    """A failed request; the text is the server's message."""

    def __init__(self, message: str, *, code: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        """The server's error code, such as too_many_pixels."""
        self.status = status
        """HTTP status; None if there was none."""


class NoAnswer(ServerError):
    """The server cannot be reached, or the connection was lost before the response was complete."""


class UnexpectedAnswer(ServerError):
    """A response that this client cannot parse; it may come from another program or version."""


class BadRequest(ServerError):
    """400: the request is malformed, or for a host name that the server does not have."""


class TokenNeeded(ServerError):
    """401: the server's token is required."""


class Forbidden(ServerError):
    """403: the request comes from a disallowed origin."""


class NotFound(ServerError):
    """404 or 405: no such route; the address may belong to another program."""


class NotAcceptable(ServerError):
    """406: the server supports none of the accepted response types."""


class UploadTooSlow(ServerError):
    """408: the request did not arrive in time."""


class TooLarge(ServerError):
    """413: too many bytes or pixels for this server."""


class Unusable(ServerError):
    """415 or 422: a picture, mask, guide or parameter that cannot be used."""


class NeedsConversion(Unusable):
    """422: the picture has to be converted first: use `convert=True`."""

    def __init__(self, message: str, *, conversions: tuple[str, ...] = (), **more: Any) -> None:
        super().__init__(message, **more)
        self.conversions = conversions
        """The conversions that would be applied, such as "CMYK to sRGB"."""


class Busy(ServerError):
    """429: the server is busy."""


class Unavailable(ServerError):
    """503: the model is not loaded or cannot be used, or the server is stopping."""


class TooSlow(ServerError):
    """504: the fill exceeded the server's time limit."""


BY_STATUS: dict[int, type[ServerError]] = {
    400: BadRequest, 401: TokenNeeded, 403: Forbidden, 404: NotFound, 405: NotFound, 406: NotAcceptable,
    408: UploadTooSlow, 413: TooLarge, 415: Unusable, 422: Unusable, 429: Busy, 499: BadRequest,
    503: Unavailable, 504: TooSlow,
}  # fmt: skip
BY_CODE: dict[str, type[ServerError]] = {
    "conversion_needed": NeedsConversion, "busy": Busy, "client_gone": BadRequest, "failed": Unavailable,
    "stopping": Unavailable, "model_unavailable": Unavailable, "not_ready": Unavailable, "too_slow": TooSlow,
    "too_many_pixels": TooLarge, "too_large": TooLarge,
    **dict.fromkeys(
        ("image_unusable", "mask_unusable", "guide_unusable", "model_unknown", "parameters_invalid",
         "setting_invalid", "unusable"),
        Unusable,
    ),
}  # fmt: skip
"""For errors in a stream of events, whose status was already sent."""


def error_of(body: object, status: int | None = None) -> ServerError:
    """The exception for a JSON error body; `status` is None for the last event of a stream."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return UnexpectedAnswer(f"the server answered {status or ''} and gave no reason", status=status)
    code, message = str(error.get("code", "")), str(error.get("message", ""))
    if code == "conversion_needed":
        conversions = tuple(map(str, error.get("conversions") or ()))
        return NeedsConversion(message, conversions=conversions, code=code, status=status)
    kind = BY_CODE.get(code) if status is None else BY_STATUS.get(status)
    return (kind or ServerError)(message or f"the server answered {status}", code=code, status=status)


def error_from(status: int, content: bytes) -> ServerError:
    """The exception for a response of the wrong kind."""
    try:
        return error_of(json.loads(content), status)
    except (ValueError, RecursionError):
        words = " ".join(content[:200].decode("utf-8", "replace").split())
        kind = BY_STATUS.get(status, UnexpectedAnswer)
        return kind(f"the server answered {status}: {words or 'without a word'}", status=status)
