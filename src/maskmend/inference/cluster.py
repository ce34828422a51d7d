"""Connecting to Ray (extra `ray`).

Whoever can reach the ports of a cluster may run code on it. A cluster that is started here listens on the
loopback address only, and its clients need Ray's token, which Ray demands by itself from 2.60 on, the lowest
version of the extra (`SECURITY.md`).
"""

import importlib
import os
import sys
from typing import Any

from maskmend.errors import ConfigError, pip_install

ADDRESS = "RAY_ADDRESS"
NETWORK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""On every system, whether a node uses its address in the network (1) or 127.0.0.1 (0). Ray's own default is
0 on Windows and macOS, and it reads the variable when it is imported. `_node_ip_address="127.0.0.1"` would be
replaced by the address in the network."""


def import_ray(*parts: str) -> Any:
    """The module `ray` with these of its parts. Raises ConfigError where it is not installed."""
    if "ray" not in sys.modules and os.environ.get(ADDRESS, "local") in ("", "local"):
        os.environ.setdefault(NETWORK, "0")
    try:
        ray = importlib.import_module("ray")
        for part in parts:
            importlib.import_module(f"ray.{part}")
    except ImportError:
        raise ConfigError(f"the engine ray needs Ray: {pip_install('ray')}") from None
    return ray


def connect() -> bool:
    """Connects to the cluster that RAY_ADDRESS names, or to one on this machine, or starts one there.

    Returns:
        Whether this call connected; False when the process was connected before.

    Raises ConfigError where Ray is missing, or its cluster cannot be reached or started.
    """
    ray = import_ray()
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is started here reports to nobody
    try:
        ray.init(log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"cannot reach or start Ray ({' '.join(str(error).split())}): check RAY_ADDRESS, or leave "
            "--engine out"
        ) from error
    return True
