"""What a server refuses, as exceptions: one class for each status, with the server's own sentence.

{"error": {"code": "too_many_pixels", "message": "..."}} and the status 413 ─► TooLarge
"""

import json
from typing import Any

from maskmend.errors import MaskmendError


class ServerError(MaskmendError):
    """A request that was not answered as it asked; its text is the server's sentence."""

    def __init__(self, message: str, *, code: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        """The server's word for it, such as too_many_pixels."""
        self.status = status
        """Of HTTP; None where there was none."""


class NoAnswer(ServerError):
    """The server cannot be reached, or the connection broke before the answer was complete."""


class UnexpectedAnswer(ServerError):
    """An answer that this client cannot read: another program, or another version, may have given it."""


class BadRequest(ServerError):
    """400: the server does not take the request as it is, such as one for a host name that it has not."""


class TokenNeeded(ServerError):
    """401: the server wants its token."""


class Forbidden(ServerError):
    """403: the request comes from where it may not."""


class NotFound(ServerError):
    """404 or 405: there is no such route; the address may be another program's."""


class NotAcceptable(ServerError):
    """406: no kind of answer was asked for that there is."""


class UploadTooSlow(ServerError):
    """408: the request did not arrive in time."""


class TooLarge(ServerError):
    """413: too many bytes or pixels for this server."""


class Unusable(ServerError):
    """415 or 422: a picture, mask, guide or parameter that cannot be used."""


class NeedsConversion(Unusable):
    """422: a picture that can be used once it is converted: `convert=True`."""

    def __init__(self, message: str, *, conversions: tuple[str, ...] = (), **more: Any) -> None:
        super().__init__(message, **more)
        self.conversions = conversions
        """What would be done, such as "CMYK to sRGB"."""


class Busy(ServerError):
    """429: too much is asked of the server at once."""


class Unavailable(ServerError):
    """503: the model is not loaded or cannot be used, or the server is stopping."""


class TooSlow(ServerError):
    """504: the fill was not made within the server's time for a request."""


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
"""Of a stream of events, whose status was sent before anything could go wrong."""


def error_of(body: object, status: int | None = None) -> ServerError:
    """The exception for an error's JSON body; of a stream's last event `status` is None."""
    told = body.get("error") if isinstance(body, dict) else None
    if not isinstance(told, dict):
        return UnexpectedAnswer(f"the server answered {status or ''} and gave no reason", status=status)
    code, message = str(told.get("code", "")), str(told.get("message", ""))
    if code == "conversion_needed":
        conversions = tuple(map(str, told.get("conversions") or ()))
        return NeedsConversion(message, conversions=conversions, code=code, status=status)
    kind = BY_CODE.get(code) if status is None else BY_STATUS.get(status)
    return (kind or ServerError)(message or f"the server answered {status}", code=code, status=status)


def error_from(status: int, content: bytes) -> ServerError:
    """The exception for an answer that is none of the kind asked for."""
    try:
        return error_of(json.loads(content), status)
    except (ValueError, RecursionError):
        words = " ".join(content[:200].decode("utf-8", "replace").split())
        kind = BY_STATUS.get(status, UnexpectedAnswer)
        return kind(f"the server answered {status}: {words or 'without a word'}", status=status)
