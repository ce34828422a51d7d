"""`maskmend serve`: runs the application on a socket until it is stopped.

On SIGTERM or Ctrl-C the server accepts no new requests and finishes those in progress within `Limits.drain`;
the remaining ones get an error that the server is stopping. Then the process exits.
"""

import asyncio
import logging
import os
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
from maskmend.progress import Log
from maskmend.server import deliveries
from maskmend.server.app import create_app
from maskmend.server.connections import Connections, connections_for, open_files
from maskmend.server.errors import ApiError
from maskmend.server.registry import Catalogue
from maskmend.server.security import HEADERS
from maskmend.server.settings import Limits, ServeConfig
from maskmend.server.workers import Filler, InProcess

IDLE = 30
"""Timeout for the headers of a request, in seconds since the connection opened or the last response."""
PATIENCE = 1.2
"""A connection whose buffer is full is closed after that many times `deliveries.UNREAD`: later than what has
a deadline there, and is counted."""
LOG = logging.getLogger("maskmend.server")


class Server(uvicorn.Server):
    """uvicorn's server, but it closes the queue as soon as a stop signal arrives, and exits with status 0."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    def handle_exit(self, sig: int, frame: Any) -> None:
        # Does not call the parent's handler, which would raise the signal again at the end.
        self._stop()
        self.force_exit = self.should_exit and sig == signal.SIGINT  # Ctrl-C twice: at once
        self.should_exit = True


class Protocol(H11Protocol):
    """uvicorn's protocol with a timeout for request headers, one for clients that do not read, and a bound on
    connections.

    uvicorn only has a timeout for idle connections after a response. A new connection may stay idle, and a
    single header byte resets the timer. Here the timer also starts with the connection, and only the complete
    headers of the next request stop it, not partial headers or the rest of a body already responded to.

    Whatever is sent, files and errors too, waits in a buffer of 64 KiB until the client reads it. A client
    that lets it stand is disconnected, and so is one that leaves an answer in it until the next request is
    due.
    """

    connections_of_server: Connections
    """Of all the protocols of one server."""
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._opened = self.loop.time()
        self._wait_until(self._opened + self.timeout_keep_alive)
        if not self.connections_of_server.admit(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections_of_server.leave(self)
        self._read_again()
        super().connection_lost(exc)

    @property
    def idle_since(self) -> float | None:
        """Since when no request is being answered; None while one is."""
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        return self._opened

    def on_response_complete(self) -> None:
        self._opened = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(PATIENCE * deliveries.UNREAD, self._give_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read_again()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self._give_up()
        else:
            super().timeout_keep_alive_handler()

    def _read_again(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _give_up(self) -> None:
        LOG.warning("a client did not read its response in time: it is cut off")
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        timer = self.timeout_keep_alive_task
        super().data_received(data)
        if timer is not None and (self.cycle is None or self.cycle.response_complete):
            self._wait_until(timer.when())

    def send_400_response(self, msg: str) -> None:
        """Responds to invalid HTTP with a JSON error, like to any other error, if that is still possible.

        If it was in a request's body, the request's handler sees a disconnected client, as its own
        response would be a second one.
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


def serve(config: ServeConfig, device: Any, log: Log) -> None:
    """Serves until stopped. Raises ModelError, and ConfigError for an address that cannot be used."""
    catalogue = Catalogue.open(config.models, device)
    with (
        listen(config.host, config.port, patience=config.limits.seconds) as listening,
        filler_of(config, catalogue, listening.getsockname()[1]) as filler,
    ):
        app = create_app(config, catalogue, filler)
        log(address(listening, config))
        server = Server(
            configuration(app, config.limits),
            app.state.service.queue.close,
        )
        server.run(sockets=[listening])
    if not server.started:
        sys.exit(1)


@contextmanager
def filler_of(config: ServeConfig, catalogue: Catalogue, port: int) -> Iterator[Filler]:
    """The filler of the server on `port`, for as long as it runs. Raises ConfigError if Ray is missing."""
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
    """uvicorn's configuration for `app`."""
    shared = {"connections_of_server": connections_for(open_files())}
    return uvicorn.Config(
        app,
        http=type("Protocol", (Protocol,), shared),
        # uvicorn would trust clients on this machine to state any address.
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
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

    On Linux, a client that acknowledges no data for `patience` seconds is disconnected. Otherwise its
    response could stay in memory indefinitely.
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
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # inherited by every connection
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * patience))
        listening.bind(where)
        listening.listen(128)  # connections from here on wait until the application has started
    except OSError as error:
        listening.close()
        raise _cannot_listen(host, port, error) from None
    return listening


def _cannot_listen(host: str, port: int, error: OSError) -> ConfigError:
    reason = error.strerror or error
    return ConfigError(f"cannot listen on {host}, port {port} ({reason}): choose another with --port")


def address(listening: socket.socket, config: ServeConfig) -> str:
    """The address to open in the browser."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = config.names[0] if config.names else socket.gethostname()
    shown = f"[{host}]" if ":" in host else host
    token = "" if config.token is None else f"#token={config.token}"
    return f"http://{shown}:{port}/{token}"
