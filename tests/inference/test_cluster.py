"""Connecting to Ray: a cluster that is started here is out of reach for other machines."""

import importlib
import os
import sys
from types import SimpleNamespace

import pytest

from maskmend.errors import ConfigError
from maskmend.inference import cluster


@pytest.mark.parametrize(
    ("before", "imported", "wanted"),
    [
        ({}, False, "0"),
        ({"RAY_ADDRESS": "local"}, False, "0"),
        ({"RAY_ADDRESS": "10.0.0.7:6379"}, False, None),  # a driver of another machine's cluster
        ({cluster.NETWORK: "1"}, False, "1"),  # the user wants it so
        ({}, True, None),  # Ray has read it; its processes must not read another value
    ],
)
def test_a_cluster_that_is_started_here_listens_on_loopback_only(monkeypatch, before, imported, wanted):
    """Catches Ray's default on Linux: a dozen ports that the whole network can reach."""
    for name in (cluster.ADDRESS, cluster.NETWORK):
        monkeypatch.delenv(name, raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    if imported:
        monkeypatch.setitem(sys.modules, "ray", SimpleNamespace())
    seen = []
    monkeypatch.setattr(importlib, "import_module", lambda name: seen.append(os.environ.get(cluster.NETWORK)))
    cluster.import_ray()
    monkeypatch.setenv(cluster.NETWORK, "")  # so that monkeypatch puts back what there was
    assert seen == [wanted]


def test_a_cluster_out_of_reach_is_one_line(monkeypatch):
    """Catches Ray's own exception, of several lines, where RAY_ADDRESS is wrong."""

    def init(**options):
        raise ConnectionError("no\ncluster")

    ray = SimpleNamespace(is_initialized=lambda: False, init=init)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with pytest.raises(ConfigError, match=r"cannot reach or start Ray \(no cluster\): check RAY_ADDRESS"):
        cluster.connect()
