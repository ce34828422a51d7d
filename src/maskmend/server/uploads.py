"""Uploads: request bodies that are still being received, counted separately from queued requests.

A request takes a queue slot only after its whole body has arrived, so clients that announce a body and then
send nothing hold no slot. The number of uploads is limited, in total and per address. When the limit is
reached, the slowest upload older than one second is cut off in favour of the new one; if all are younger, the
new one is refused. Uploads slower than the minimum speed are always cut off. Those that have held the most
bytes for the longest time are cut off in favour of others, when all uploads and requests that wait to be
decoded hold more than `Limits.bytes_at_once`.
The size of a body is limited in `upload_size`.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import Request
from starlette.types import Message

from maskmend.server.errors import ApiError
from maskmend.server.queue import JobQueue, Slot
from maskmend.server.settings import Limits

YOUNG = 1.0
"""Uploads younger than this many seconds are never displaced: their speed is not known yet."""
T = TypeVar("T")


class Uploads:
    """All uploads in progress. Not thread-safe: use in the event loop only."""

    def __init__(self, queue: JobQueue, limits: Limits) -> None:
        self.queue, self.limits = queue, limits
        self.under_way: list[Upload] = []

    def begin(self, request: Request) -> "Upload":
        """Admits the body of `request`.

        Raises ApiError: 503 when the server is stopping; 429 when all queue slots are taken, or when there
        are too many uploads and none can be displaced.
        """
        owner = owner_of(request.client.host if request.client is not None else "")
        own = [upload for upload in self.under_way if upload.owner == owner]
        self.queue.announce()
        try:
            if len(own) >= self.limits.uploads_of_one:
                self._make_way(own, "this address has")
            elif len(self.under_way) >= self.limits.uploads:
                self._make_way(self.under_way, "the server has")
        except ApiError:
            self.queue.withdraw()
            raise
        upload = Upload(self, request, owner)
        self.under_way.append(upload)
        return upload

    @property
    def size(self) -> int:
        """Bytes that have been received, of uploads in progress and of requests that are not decoded yet."""
        return sum(upload.came for upload in self.under_way) + self.queue.held_bytes

    def make_room(self, upload: "Upload") -> None:
        """Cuts off others for what came of `upload`: whoever has held the most memory for the longest time.

        Raises ApiError (429) when nobody can be cut off.
        """
        while self.size > self.limits.bytes_at_once:
            others = [one for one in self.under_way if one is not upload and one.age >= YOUNG and one.came]
            if not others:
                message = "other large uploads are in progress: try again in 1 s"
                raise ApiError(429, "busy", message, {"Retry-After": "1", "Connection": "close"})
            max(others, key=lambda one: one.came * one.age).cut_off()

    def _make_way(self, uploads: "list[Upload]", whose: str) -> None:
        """Cuts off the slowest of `uploads`. Raises ApiError (429) when all of them are young."""
        grown = [upload for upload in uploads if upload.age >= YOUNG]
        if not grown:
            message = f"{whose} {len(uploads)} uploads in progress: try again in 1 s"
            raise ApiError(429, "busy", message, {"Retry-After": "1"})
        min(grown, key=lambda upload: upload.came / upload.age).cut_off()


class Upload:
    """One upload; a context manager that ends when the body has been read or abandoned."""

    def __init__(self, uploads: Uploads, request: Request, owner: str) -> None:
        self.uploads, self.owner, self.came = uploads, owner, 0
        self.request = Request(request.scope, self._receive)
        """The request, wrapped so that received bytes are counted."""
        self._wire = request.receive
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._until = 0.0
        self._owed = 0
        self._timeout: asyncio.Timeout | None = None
        self._displaced = False

    @property
    def age(self) -> float:
        """Seconds since the upload began."""
        return self._loop.time() - self._began

    async def read(self, reading: Awaitable[T], until: float) -> T:
        """Awaits `reading`. Raises ApiError (408) when the upload is too slow, or incomplete at `until`."""
        limits = self.uploads.limits
        self._until = until
        try:
            async with asyncio.timeout_at(until) as self._timeout:
                self._next_stretch()
                return await reading
        except TimeoutError:
            if self._displaced:
                reason = (
                    "there are many uploads and this was the slowest or largest: it was cut off in favour of "
                    "another"
                )
            elif self._loop.time() < until:
                reason = f"less than {limits.pace_kib:g} KiB a second came for {limits.silence:g} s"
            else:
                reason = f"the request did not arrive within {limits.seconds:g} s"
            message = f"{reason}; send it again, over a faster connection or as a smaller file"
            raise ApiError(408, "upload_too_slow", message, {"Connection": "close"}) from None

    def take_slot(self) -> Slot:
        """Takes a queue slot for the received request. Raises ApiError (429)."""
        slot = self.uploads.queue.acquire(announced=True)
        self._leave()  # from here on the slot counts its bytes
        slot.hold_bytes(self.came)
        return slot

    def cut_off(self) -> None:
        self._displaced = True
        self._leave()
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(self._loop.time())

    async def _receive(self) -> Message:
        message = await self._wire()
        count = len(message.get("body", b""))
        self.came += count
        if not self._displaced:
            self.uploads.make_room(self)
        self._owed -= count
        if self._owed <= 0 and not self._displaced:
            self._next_stretch()
        return message

    def _next_stretch(self) -> None:
        """Starts the next interval of `silence` seconds, in which the minimum number of bytes must arrive."""
        limits = self.uploads.limits
        self._owed = limits.pace_kib * 1024 * limits.silence
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(min(self._until, self._loop.time() + limits.silence))

    def _leave(self) -> None:
        if self in self.uploads.under_way:
            self.uploads.under_way.remove(self)

    def __enter__(self) -> "Upload":
        return self

    def __exit__(self, *error: object) -> None:
        self._leave()
        self.uploads.queue.withdraw()


def owner_of(host: str) -> str:
    """The client that an address belongs to: the address itself, or for IPv6 its /64 network."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)))
    return host
