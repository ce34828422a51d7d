"""How a server may be set up: nothing that opens it to others by accident."""

import sys

import pytest
from click.testing import CliRunner

from maskmend.cli import main
from maskmend.errors import ConfigError
from maskmend.server.settings import OPTIONS, Limits, ServeConfig, is_loopback


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
        ({"origins": ("*",)}, "--allow-origin \\*"),
        ({"origins": ("https://app.example/",)}, "without a path"),
        ({"origins": ("app.example",)}, "scheme"),
        ({"origins": ("https://App.example",)}, "lower case"),
        ({"origins": ("null",)}, "scheme"),
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


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--port", "70000"), ("--workers", "0"), ("--max-upload", "-1"), ("--max-upload", "1000000"),
        ("--max-megapixels", "0"), ("--max-samples", "0"), ("--places", "-1"), ("--batch", "0"),
        ("--upload-pace", "0"), ("--upload-silence", "inf"),
        ("--timeout", "0"), ("--drain", "nan"), ("--host", "0.0.0.0"),
    ],
)  # fmt: skip
def test_mistakes_are_told_by_the_name_that_was_typed(option, value):
    """Catches an error about a setting that the user never heard of."""
    ran = CliRunner().invoke(main, ["serve", option, value], prog_name="maskmend")
    assert ran.exit_code == 2
    assert ran.stderr.startswith(f"maskmend: {option} {value}")


def test_every_limit_has_the_option_that_sets_it():
    """Catches a limit that was added or renamed without its option."""
    assert set(OPTIONS) == set(Limits.__dataclass_fields__) - {"steps"}
    assert set(OPTIONS.values()) <= {option.opts[0] for option in main.commands["serve"].params}


def test_every_option_of_the_command_reaches_the_server(monkeypatch):
    """Catches an option that is read and then forgotten, or given to another field."""
    came = []
    monkeypatch.setattr(
        "maskmend.server.run.serve", lambda config, device, say: came.append((config, str(device)))
    )
    line = {
        "--host": "0.0.0.0", "--port": "81", "--token": "a token of the right length", "--device": "cpu",
        "--workers": "2", "--engine": "ray", "--replicas": "3", "--replica-cpus": "1.5",
        "--max-upload": "3.5", "--max-megapixels": "4.5", "--max-samples": "5",
        "--places": "6", "--upload-pace": "0.5", "--upload-silence": "20.5",
        "--batch": "7", "--timeout": "8.5", "--drain": "9.5",
    }  # fmt: skip
    several = ["--name", "a.lan", "--name", "b.lan", "--model", "one", "--model", "two", "--allow-remote"]
    several += ["--allow-origin", "https://a.example", "--allow-origin", "http://localhost:3000"]
    flat = [word for pair in line.items() for word in pair]
    ran = CliRunner().invoke(main, ["serve", *flat, *several], prog_name="maskmend")
    assert ran.exit_code == 0, ran.output
    limits = Limits(
        upload_mib=3.5,
        megapixels=4.5,
        samples=5,
        places=6,
        pace_kib=0.5,
        silence=20.5,
        batch=7,
        seconds=8.5,
        drain=9.5,
    )
    wanted = ServeConfig(
        host="0.0.0.0", port=81, allow_remote=True, names=("a.lan", "b.lan"),
        origins=("https://a.example", "http://localhost:3000"), token=line["--token"],
        models=("one", "two"), device="cpu", workers=2, engine="ray", replicas=3, replica_cpus=1.5,
        limits=limits,
    )  # fmt: skip
    assert came.pop() == (wanted, "cpu")
    options = {option.opts[0] for option in main.commands["serve"].params}
    assert options == {*line, "--name", "--model", "--allow-remote", "--allow-origin"}
    ran = CliRunner().invoke(main, ["serve"], prog_name="maskmend", env={"MASKMEND_TOKEN": line["--token"]})
    assert ran.exit_code == 0, ran.output
    assert came.pop()[0] == ServeConfig(token=line["--token"])  # its defaults are the server's own


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "loading the model default (photo)"),
        (["--model", "cats64", "--model", "photo"], "loading the model cats64; when first asked for: photo"),
        (["--engine", "ray", "--replicas", "2"], "loading the model default (photo) in 2 replicas"),
    ],
)
def test_what_is_loaded_is_told_at_once(monkeypatch, options, line):
    """Catches a terminal that shows nothing while PyTorch and the model load."""
    monkeypatch.setitem(sys.modules, "maskmend.server.run", None)
    ran = CliRunner().invoke(main, ["serve", *options], prog_name="maskmend")
    assert ran.stderr.splitlines()[0] == line
    assert ran.stdout == ""  # where scripts read the address


@pytest.mark.parametrize(
    ("options", "env"), [(["--token", ""], {}), ([], {"MASKMEND_TOKEN": ""})], ids=["option", "variable"]
)
def test_an_empty_token_is_a_mistake(monkeypatch, options, env):
    """Catches `--token "$SECRET"` that opens the server to everyone where SECRET was never set."""
    monkeypatch.setattr("maskmend.server.run.serve", lambda *_: pytest.fail("served without a token"))
    ran = CliRunner().invoke(main, ["serve", *options], prog_name="maskmend", env=env)
    assert ran.exit_code == 2
    assert "the token has 0 characters: give 16 or more" in ran.stderr
