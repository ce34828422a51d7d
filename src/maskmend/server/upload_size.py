"""The limit of an upload's size: of what its Content-Length says, and of what arrives.

`security` applies both to every request, before any of its body is read.
"""

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from maskmend.server.errors import ApiError


def check_upload_size(headers: Headers, limit: int) -> None:
    """Raises ApiError (413) when Content-Length exceeds the limit."""
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)


def limit_upload_size(receive: Receive, limit: int) -> Receive:
    """Wraps `receive` to refuse a body as soon as more than `limit` bytes were received."""
    came = 0

    async def receiving() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > limit:
            raise _too_large(limit)
        return message

    return receiving


def _too_large(limit: int) -> ApiError:
    return ApiError(
        413, "too_large",
        f"the request is larger than {limit / 2**20:g} MiB: send a smaller picture, or one compressed better",
        {"Connection": "close"},
    )  # fmt: skip
