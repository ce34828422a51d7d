"""Open connections: how many there may be, and which one is closed when there are too many.

Every connection takes a file descriptor, of which a process has a limited number. Without a bound, clients
that open connections and send nothing would take all of them, and nobody else could connect. One address has
at most half. When there is no more room, the connection that has been idle for the longest time is closed in
favour of the new one; if none is idle, the new one is closed.
"""

import asyncio
import contextlib
from typing import Protocol, runtime_checkable

from maskmend.server.uploads import owner_of

MOST = 4096
"""Connections of a server, where the system allows for as many."""
SPARE = 128
"""File descriptors for everything else."""


@runtime_checkable
class Connection(Protocol):
    """The state of a connection."""

    transport: asyncio.Transport
    client: tuple[str, int] | None

    @property
    def idle_since(self) -> float | None:
        """The event loop's time since when no request is being answered; None while one is."""


class Connections:
    """All connections of a server. Not thread-safe: use in the event loop only."""

    def __init__(self, most: int) -> None:
        self.most, self.most_of_one = most, max(1, most // 2)
        self._open: dict[Connection, str] = {}

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection) -> bool:
        """Adds a new connection, and closes another one if there are too many; False if none can be."""
        owner = owner_of(connection.client[0]) if connection.client else ""
        own = [one for one, whose in self._open.items() if whose == owner]
        if len(own) >= self.most_of_one:
            crowd = own
        elif len(self._open) >= self.most:
            crowd = list(self._open)
        else:
            crowd = []
        if crowd:
            idle = [
                (one.idle_since, number) for number, one in enumerate(crowd) if one.idle_since is not None
            ]
            if not idle:
                return False
            longest = crowd[min(idle)[1]]
            self.leave(longest)
            longest.transport.abort()
        self._open[connection] = owner
        return True

    def leave(self, connection: Connection) -> None:
        self._open.pop(connection, None)


def open_files() -> int:
    """How many files this process may have open, raised as far as the system allows and the server needs."""
    try:
        import resource
    except ImportError:  # not POSIX: what `select` can watch there
        return 512
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + SPARE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else soft


def connections_for(files: int) -> Connections:
    """As many connections as leave some of `files` for everything else."""
    return Connections(max(2, min(MOST, files - SPARE)))
