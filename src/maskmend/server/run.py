"""`maskmend serve`: the application on a socket, until it is told to stop.

On SIGTERM or Ctrl-C no new request is taken, those under way are finished (within `Limits.drain`; the others
are told that the server is stopping), then the process ends.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from maskmend.errors import ConfigError
from maskmend.server.app import create_app
from maskmend.server.errors import ApiError
from maskmend.server.registry import Catalogue
from maskmend.server.security import HEADERS
from maskmend.server.settings import Limits, ServeConfig
from maskmend.server.workers import Filler, InProcess

IDLE = 30
"""Seconds for the headers of a request, from the opening of the connection or the answer before."""


class Server(uvicorn.Server):
    """uvicorn's, which closes the line as soon as it is told to stop, and ends with status 0 then."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    def handle_exit(self, sig: int, frame: Any) -> None:
        # Not the parent's: it would raise the signal anew at the end.
        self._stop()
        self.force_exit = self.should_exit and sig == signal.SIGINT  # Ctrl-C twice: at once
        self.should_exit = True


class Protocol(H11Protocol):
    """uvicorn's, which does not wait for a request's headers for ever either.

    uvicorn bounds only the silence after an answer; a new connection may stay silent, and one byte of headers
    now and then ends any silence. Here the same timer begins with the connection, and only the next request's
    headers end it: neither a part of them nor the rest of a body that is answered already.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_until(self.loop.time() + self.timeout_keep_alive)

    def data_received(self, data: bytes) -> None:
        timer = self.timeout_keep_alive_task
        super().data_received(data)
        if timer is not None and (self.cycle is None or self.cycle.response_complete):
            self._wait_until(timer.when())

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered in JSON like every other mistake, if it can still be answered.

        Whoever is at work on the request whose body it was is told that its client is gone: its own answer
        would come second.
        """
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            refusal = ApiError(400, "bad_request", f"{msg} Send HTTP/1.1.", {"Connection": "close"})
            answer = refusal.response()
            headers = [*answer.raw_headers, *((k.encode(), v.encode()) for k, v in HEADERS.items())]
            for event in (
                h11.Response(status_code=answer.status_code, headers=headers, reason=b"Bad Request"),
                h11.Data(data=bytes(answer.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait_until(self, when: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_at(when, self.timeout_keep_alive_handler)


def serve(config: ServeConfig, device: Any, say: Callable[[str], None]) -> None:
    """Listens and serves until stopped. Raises ConfigError for an address that cannot be used, ModelError."""
    catalogue = Catalogue.open(config.models, device)
    with (
        listen(config.host, config.port, patience=config.limits.seconds) as listening,
        filler_of(config, catalogue, listening.getsockname()[1]) as filler,
    ):
        app = create_app(config, catalogue, filler)
        say(address(listening, config))
        server = Server(
            configuration(app, config.limits),
            app.state.service.queue.close,
        )
        server.run(sockets=[listening])
    if not server.started:
        sys.exit(1)


@contextmanager
def filler_of(config: ServeConfig, catalogue: Catalogue, port: int) -> Iterator[Filler]:
    """Who fills for the server on `port`, as long as it runs. Raises ConfigError where Ray is missing."""
    if config.engine == "local":
        yield InProcess(catalogue)
        return
    from maskmend.server.replicas import Replicas

    replicas = Replicas.start(config, catalogue, name=f"maskmend-{socket.gethostname()}-{port}")
    try:
        yield replicas
    finally:
        replicas.stop()


def configuration(app: FastAPI, limits: Limits) -> uvicorn.Config:
    """How uvicorn serves `app`."""
    return uvicorn.Config(
        app,
        http=Protocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=max(1, round(limits.drain)),
        h11_max_incomplete_event_size=64 * 1024,
        ws="none",
    )


def listen(host: str, port: int, *, patience: float = 120.0) -> socket.socket:
    """A listening socket. Raises ConfigError.

    A client that takes nothing for `patience` seconds, while there is something for it, is cut off (on
    Linux): else what it was to get would stay in memory for as long as it likes.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_listen(host, port, error) from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # taken over by every connection
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * patience))
        listening.bind(where)
        listening.listen(128)  # whoever comes from here on waits until the application has started
    except OSError as error:
        listening.close()
        raise _cannot_listen(host, port, error) from None
    return listening


def _cannot_listen(host: str, port: int, error: OSError) -> ConfigError:
    reason = error.strerror or error
    return ConfigError(f"cannot listen on {host}, port {port} ({reason}): choose another with --port")


def address(listening: socket.socket, config: ServeConfig) -> str:
    """What to open in the browser."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = config.names[0] if config.names else socket.gethostname()
    shown = f"[{host}]" if ":" in host else host
    token = "" if config.token is None else f"#token={config.token}"
    return f"http://{shown}:{port}/{token}"
