"""How a server may be set up: nothing that opens it to others by accident."""

import pytest

from maskmend.errors import ConfigError
from maskmend.server.settings import Limits, ServeConfig, is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", ""])
def test_other_machines_are_let_in_only_when_asked_for(host):
    """Catches a server that listens to the network because of a default."""
    with pytest.raises(ConfigError, match="--allow-remote"):
        ServeConfig(host=host)
    assert ServeConfig(host=host, allow_remote=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_is_always_fine(host):
    assert is_loopback(host)
    assert ServeConfig(host=host).host == host
    assert ServeConfig().host == "127.0.0.1"


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"token": "short"}, "16 or more"),
        ({"token": "ü" * 20}, "ASCII"),
        ({"port": 70000}, "port"),
        ({"workers": 0}, "workers"),
        ({"models": ()}, "model"),
    ],
)
def test_bad_values_are_told_with_a_remedy(values, word):
    with pytest.raises(ConfigError, match=word):
        ServeConfig(**values)


@pytest.mark.parametrize(
    "values", [{"upload_mib": 0.0}, {"seconds": float("nan")}, {"places": 0}, {"samples": 0}, {"batch": -1}]
)
def test_limits_that_limit_nothing_or_everything_are_refused(values):
    with pytest.raises(ConfigError, match="give"):
        Limits(**values)
