"""The command group: its flags are frozen, its help answers at once and explains everything."""

from dataclasses import asdict

import click
import pytest
from command_line import assert_refused, invoke, names, run

import maskmend
from maskmend.assets import DEFAULT
from maskmend.cli import main
from maskmend.pipeline import InpaintPipeline


def test_a_mistake_before_the_command_is_one_line():
    """Catches click's own three lines of usage."""
    assert_refused(invoke(["--bogus"]), "No such option", "--bogus", "maskmend --help")
    assert_refused(invoke(["inpant"]), "No such command", "inpant")


def test_messages_of_several_lines_become_one(inpaint, monkeypatch):
    """Catches a library's message that breaks the one line."""

    def fail(*args, **options):
        raise maskmend.ModelError("first\n  second\nthird")

    monkeypatch.setattr(InpaintPipeline, "from_pretrained", fail)
    assert_refused(inpaint(), "maskmend: first second third")


def test_an_unknown_option_of_a_recipe_names_the_nearest(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[data]\ntrain = "a"\nvalidation = "b"\n[training]\nsteps = 3\nwarmpu = 2\n')
    command = ["train", "tokenizer", "--config", str(recipe), "--output", str(tmp_path / "run")]
    words = ["unknown setting 'training.warmpu'", "did you mean 'warmup'"]
    assert_refused(invoke(command), *words)
    missing = [*command[:3], str(tmp_path / "no.toml")]
    assert_refused(invoke(missing), "no recipe", "no.toml")
    recipe.write_text("[data\n")
    assert_refused(invoke(command), "cannot read recipe")
    assert names(tmp_path) == ["recipe.toml"]


def flags(command):
    return {option for parameter in command.params for option in parameter.opts}


def test_the_flags_are_frozen():
    """Catches a flag that is renamed or dropped without a thought for those who use it."""
    assert set(main.commands) == {
        "inpaint",
        "serve",
        "demo",
        "train",
        "data",
        "pack",
        "calibrate",
        "weights",
        "masks",
        "evaluate",
        "reproduce",
        "study",
        "photographs",
        "convert",
        "bench",
        "export",
        "doctor",
        "completion",
    }
    assert flags(main.commands["inpaint"]) == {
        "image", "--mask", "-o", "--output", "--layout", "--model", "--samples", "--seed", "--steps",
        "--schedule", "--order", "--temperature", "--seam", "--infill", "--ring", "--label", "--prompt",
        "--set", "--fit-mask",
        "--invert-mask", "--mask-channel", "--mask-threshold", "--mask-photo-check", "--quality", "--device",
        "--uncertainty",
        "--input", "--masks", "--format", "--overwrite", "--grow", "--precision", "--yes",
        "--max-megapixels", "--guide", "--extend", "--convert",
        "--mask-box", "--mask-color", "--tolerance", "--context-box", "--watch", "--show",
        "--engine", "--shard", "--seed-by", "--write-as", "--chunk", "--workers", "--retry-failed",
        "--metrics",
    }  # fmt: skip
    assert flags(main.commands["serve"]) == {
        "--host", "--port", "--allow-remote", "--allow-origin", "--name", "--token", "--model", "--device",
        "--workers", "--max-upload", "--max-megapixels", "--max-samples", "--places", "--batch", "--timeout",
        "--drain", "--upload-pace", "--upload-silence", "--engine", "--replicas", "--replica-cpus",
    }  # fmt: skip
    assert flags(main.commands["doctor"]) == {"--model", "--no-speed", "--json"}
    assert flags(main.commands["completion"]) == {"shell"}
    assert flags(main.commands["demo"]) == {"-o", "--output", "--model", "--photo-model", "--seed"}
    assert flags(main.commands["train"]) == {
        "stage", "--config", "-o", "--output", "--set", "--restart", "--on", "--from", "--minutes",
        "--learnt", "--device", "--plan", "--devices", "--tflops",
    }  # fmt: skip
    assert flags(main.commands["data"].commands["index"]) == {"shards", "-o", "--output"}
    assert flags(main.commands["data"].commands["tokenize"]) == {
        "source", "--tokenizer", "-o", "--output", "--crops", "--side", "--crop-scale", "--seed",
        "--shard-size", "--batch", "--device",
    }  # fmt: skip
    assert flags(main.commands["pack"]) == {
        "tokenizer", "transformer", "-o", "--output", "--half", "--set", "--data", "--card",
    }  # fmt: skip
    for kind in ("mage", "halton", "valeoai"):
        assert flags(main.commands["convert"].commands[kind]) == {
            "sources", "-o", "--output", "--revision", "--half", "--heads"
        }  # fmt: skip
    assert flags(main.commands["convert"].commands["maskgit"]) == {
        "sources", "-o", "--output", "--revision", "--half",
    }  # fmt: skip
    assert flags(main.commands["convert"].commands["coursework"]) == {
        "vqgan", "transformer", "-o", "--output", "--heads", "--pixels", "--half",
    }  # fmt: skip


def test_the_flags_of_evaluation_are_frozen():
    assert flags(main.commands["weights"].commands["fetch"]) == {"names", "--from"}
    assert flags(main.commands["masks"].commands["make"]) == {"kind", "--like", "-o", "--output", "--seed"}
    assert flags(main.commands["evaluate"]) == {
        "--images", "--results", "--model", "--masks", "-o", "--output", "--seed", "--repeats", "--device",
        "--preset", "--precision", "--set", "--samples", "--also", "--invert-masks",
    }  # fmt: skip
    assert flags(main.commands["calibrate"]) == {"model", "--images", "--learnt"}
    assert flags(main.commands["bench"]) == {
        "--model", "--photo-model", "-o", "--output", "--peers", "--quick",
    }  # fmt: skip
    assert flags(main.commands["export"].commands["onnx"]) == {"model", "-o", "--output"}
    site = {"model", "-o", "--output", "--weights", "--runtime", "--webgpu"}
    assert flags(main.commands["export"].commands["web"]) == site
    assert flags(main.commands["reproduce"]) == {
        "--images", "--masks", "-o", "--output", "--model", "--quick", "--limit", "--sweep-limit", "--grid",
        "--table", "--migan", "--repeats", "--seed", "--device",
    }  # fmt: skip
    assert flags(main.commands["photographs"]) == {
        "--model", "--images", "--whole", "--migan", "--limit", "--kinds", "-o", "--output", "--work",
        "--credits", "--repeats", "--seed", "--device", "--precision", "--set",
    }  # fmt: skip
    assert flags(main.commands["study"]) == {
        "--train", "--validation", "--images", "--masks", "--tokenizer", "-o", "--output", "--steps",
        "--limit", "--repeats", "--seed",
    }  # fmt: skip


def walk(command):
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from walk(inner)


def test_every_command_and_option_is_explained():
    for command in walk(main):
        assert command.help
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name not in (
                "seed",
                "device",
                "mask_channel",
            ):
                assert parameter.help, (command.name, parameter.name)


@pytest.mark.parametrize("command", [[], ["masks"], ["convert"], ["export"], ["weights"]], ids=str)
def test_the_help_of_a_group_cuts_no_line(command):
    """Catches what a command does, told as far as it fits into one line."""
    told = invoke([*command, "--help"]).stdout.partition("Commands:")[2]
    group = main
    for name in command:
        group = group.commands[name]
    lines = " ".join(told.split())
    for name, sub in group.commands.items():
        if sub.hidden:  # an older name
            assert f"{name} " not in lines
            continue
        assert f"{name} {' '.join(sub.get_short_help_str(limit=1000).split())}" in lines
    assert "... " not in lines.replace("SSIM, ... ", "")


def test_the_help_of_inpaint_tells_the_models_settings():
    """Catches defaults of the program where the shipped model has others, and settings that nobody finds."""
    told = " ".join(invoke(["inpaint", "--help"]).stdout.split())
    defaults = InpaintPipeline.from_pretrained("default").defaults
    options, _, others = told.partition("Settings for --set")
    for name, value in asdict(defaults).items():
        if f"--{name} " in options:
            assert f"[default: the model's; {DEFAULT}: {value}]" in options
        else:
            assert f"{name}={'none' if value is None else value}" in others


MODULES_OF_HELP = 220
"""Above the 164 that there are; Rich alone would bring 107 more."""


@pytest.mark.parametrize("command", [["--help"], ["inpaint", "--help"], ["train", "-h"], ["--version"]])
def test_help_answers_without_torch(command):
    """Catches an import that makes `--help` take long: modules are counted, for 0.3 s are promised."""
    program = (
        "import sys\nfrom maskmend.cli import main\n"
        f"main({command!r}, prog_name='maskmend', standalone_mode=False)\n"
        "assert not {'torch', 'numpy', 'scipy', 'PIL'} & set(sys.modules), sorted(sys.modules)\n"
        "print(len(sys.modules), file=sys.stderr)"
    )
    finished = run("-c", program)
    assert finished.returncode == 0, finished.stderr
    assert "maskmend" in finished.stdout
    assert int(finished.stderr) < MODULES_OF_HELP
