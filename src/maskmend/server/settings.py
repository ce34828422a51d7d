"""The server's configuration and limits: frozen dataclasses that validate themselves."""

import ipaddress
from dataclasses import dataclass, field
from typing import Literal

from maskmend.errors import ConfigError
from maskmend.server.cors import check_origins

SHORTEST_TOKEN = 16

OPTIONS = {
    "upload_mib": "--max-upload",
    "megapixels": "--max-megapixels",
    "samples": "--max-samples",
    "places": "--places",
    "pace_kib": "--upload-pace",
    "silence": "--upload-silence",
    "batch": "--batch",
    "seconds": "--timeout",
    "drain": "--drain",
}
"""The options of `maskmend serve` for the limits, as error messages name them."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on the cost of a request and on the number of concurrent requests."""

    upload_mib: float = 32.0
    """Maximum request body; a larger one is refused while it is being received."""
    megapixels: float = 50.0
    """Maximum image size; checked in the file header, before decoding."""
    samples: int = 8
    """Maximum number of fills per request."""
    steps: int = 64
    """Maximum number of decoding steps per request."""
    places: int = 32
    """Maximum number of received requests, queued or being filled; further ones get status 429."""
    pace_kib: float = 1.0
    """Minimum upload speed in KiB per second, averaged over `silence`; slower uploads are cut off (408)."""
    silence: float = 10.0
    """Seconds over which the upload speed is averaged."""
    batch: int = 16
    """Maximum number of fills (requests times samples) decoded together."""
    seconds: float = 120.0
    """Time limit of a request, from the end of its headers to its last result."""
    drain: float = 30.0
    """Time limit for requests in progress when the server shuts down."""

    def __post_init__(self) -> None:
        for name in ("upload_mib", "megapixels", "seconds", "drain", "pace_kib", "silence"):
            if not 0 < (value := getattr(self, name)) < 1e6:
                raise ConfigError(
                    f"{OPTIONS.get(name, name)} {value:.9g}: give a number above 0 and below 1000000"
                )
        for name in ("samples", "steps", "places", "batch"):
            if (value := getattr(self, name)) < 1:
                raise ConfigError(f"{OPTIONS.get(name, name)} {value}: give 1 or more")

    @property
    def upload_bytes(self) -> int:
        return int(self.upload_mib * 2**20)

    @property
    def bytes_at_once(self) -> int:
        """Maximum total size of all requests that are being received or wait to be decoded."""
        return 8 * self.upload_bytes

    @property
    def uploads_of_one(self) -> int:
        """Maximum number of concurrent uploads from one address."""
        return self.places

    @property
    def uploads(self) -> int:
        """Maximum number of concurrent uploads in total; a single address cannot use them all."""
        return 2 * self.places

    @property
    def pixels(self) -> int:
        return int(self.megapixels * 1e6)

    @property
    def pixels_at_once(self) -> int:
        """Maximum total size of all images in memory: two and a half of the largest, or one with four fills,
        of which each after the first counts as half an image."""
        return 5 * self.pixels // 2


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8765
    """0 picks a free port."""
    allow_remote: bool = False
    """Allow an address that is reachable from other machines."""
    names: tuple[str, ...] = ()
    """Host names of the server, besides addresses and localhost."""
    origins: tuple[str, ...] = ()
    """Origins of other sites that may use the API: scheme, host and port, such as https://app.example."""
    token: str | None = None
    """Token that clients must send as `Authorization: Bearer TOKEN`."""
    models: tuple[str, ...] = ("default",)
    """The first is the default."""
    device: str = "cpu"
    workers: int = 1
    """Threads that each fill one batch at a time; with the engine ray, per replica."""
    engine: Literal["local", "ray"] = "local"
    """Fill in this process, or in replicas on a Ray cluster."""
    replicas: int = 1
    """Number of replica processes (engine ray)."""
    replica_cpus: float = 1.0
    """CPUs that each replica reserves and uses."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"--port {self.port}: give 0 to 65535")
        if self.workers < 1:
            raise ConfigError(f"--workers {self.workers}: give 1 or more")
        if self.replicas < 1:
            raise ConfigError(f"--replicas {self.replicas}: give 1 or more")
        if not 0 < self.replica_cpus < 1e6:
            raise ConfigError(f"--replica-cpus {self.replica_cpus:g}: give a number above 0")
        if self.engine != "ray" and self.replicas > 1:
            raise ConfigError(f"--replicas {self.replicas} is of --engine ray: add that, or use --workers")
        if not self.models:
            raise ConfigError("no model: give at least one, such as default")
        check_origins(self.origins)
        if not is_loopback(self.host) and not self.allow_remote:
            raise ConfigError(
                f"--host {self.host} can be reached from other machines: add --allow-remote if that is "
                "meant, and --token, or keep 127.0.0.1"
            )
        if self.token is not None and (len(self.token) < SHORTEST_TOKEN or not self.token.isascii()):
            raise ConfigError(
                f"the token has {len(self.token)} characters: give {SHORTEST_TOKEN} or more, ASCII, "
                "such as the output of: openssl rand -hex 16"
            )

    @property
    def batches_at_once(self) -> int:
        """Batches that are filled at the same time."""
        return self.workers * self.replicas


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address, reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
