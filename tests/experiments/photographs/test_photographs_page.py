"""The whole page with small stand-ins: what it says, that it goes on, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from maskmend.errors import ConfigError
from maskmend.experiments.photographs.methods import Method
from maskmend.experiments.photographs.run import Comparison, Group, repair_photographs
from maskmend.experiments.photographs.scenes import Scene
from maskmend.experiments.photographs.scores import Meter
from painters import Painter, method


def comparison(
    scenes: list[Scene], meter: Meter, work: Path, *methods: Method, **changes: object
) -> Comparison:
    given: dict[str, object] = {
        "methods": methods or (method("MI-GAN", 60), method("maskmend x", 120, ours=True)),
        "groups": [
            Group(name="squares", scenes=scenes),
            Group(name="whole", scenes=scenes[:3], whole=True),
        ],
        "meter": meter,
        "work": work,
        "credits": {scene.name: "CC BY 2.0" for scene in scenes},
    }
    return Comparison(**(given | changes))  # pyright: ignore[reportArgumentType]


def test_the_page_holds_figures_pictures_and_credits(
    scenes: list[Scene], make_meter: Callable[[], Meter], tmp_path: Path
) -> None:
    """Would catch a picture the page does not name, a table without a method, and figures kept from JSON."""
    page = tmp_path / "docs" / "photographs.md"
    facts = repair_photographs(
        comparison(scenes, make_meter(), tmp_path / "work"), page, command="maskmend x"
    )
    text = page.read_text()
    assert json.loads((tmp_path / "docs" / "photographs" / "page.json").read_text()) == facts
    assert len(facts["results"]) == 8
    for result in facts["results"]:
        name = f"photographs/{result['group']}-{result['kind']}.jpg"
        assert f"({name})" in text
        assert (tmp_path / "docs" / name).read_bytes()[:2] == b"\xff\xd8"
        assert len(result["masks"]) == 64
        for figures in result["methods"].values():
            assert (figures["fid"] is None) == result["whole"]
            assert len(figures["lpips_each"]) == (3 if result["whole"] else 6)
        for shown in result["shown"]:
            credit = f"{shown['name']}: CC BY 2.0"
            assert any(line.startswith("Photographs: ") and credit in line for line in text.splitlines())
        gap = result["against"]["maskmend x against MI-GAN"]["lpips"]
        assert f"{100 * gap['value']:+.0f} %" in text
    assert "never the truth" in text
    assert facts["command"] == "maskmend x"
    assert str(tmp_path) not in text + json.dumps(facts)


def test_the_same_command_goes_on(
    scenes: list[Scene], make_meter: Callable[[], Meter], tmp_path: Path
) -> None:
    """Would catch a second run that fills anew, or writes another page."""
    page = tmp_path / "page.md"
    repair_photographs(comparison(scenes, make_meter(), tmp_path / "work"), page)
    before = page.read_text()
    again = [method("MI-GAN", 60), method("maskmend x", 120, ours=True)]
    repair_photographs(comparison(scenes, make_meter(), tmp_path / "work", *again), page)
    assert page.read_text() == before
    for one in again:
        assert isinstance(one.fill, Painter)
        assert one.fill.calls == 0


def test_a_method_takes_part_in_its_kinds_only(
    scenes: list[Scene], make_meter: Callable[[], Meter], tmp_path: Path
) -> None:
    """Would catch the biharmonic fill at work on wide holes, for minutes each."""
    thin = Method(name="thin", identity={}, fill=Painter(50), kinds=("text",))
    facts = repair_photographs(
        comparison(scenes, make_meter(), tmp_path / "work", thin, method("maskmend x", 120, ours=True)),
        tmp_path / "page.md",
    )
    took_part = {result["kind"] for result in facts["results"] if "thin" in result["methods"]}
    assert took_part == {"text"}


def test_what_cannot_be_is_said(scenes: list[Scene], make_meter: Callable[[], Meter], tmp_path: Path) -> None:
    """Would catch a misspelt kind that measures nothing, and two models in one column."""
    with pytest.raises(ConfigError, match="scratch"):
        comparison(scenes, make_meter(), tmp_path, kinds=["scratch"])
    twice = method("maskmend x", 1, ours=True), method("maskmend x", 2, ours=True)
    with pytest.raises(ConfigError, match="maskmend x"):
        comparison(scenes, make_meter(), tmp_path, *twice)
    with pytest.raises(ConfigError, match="suffix"):
        repair_photographs(comparison(scenes, make_meter(), tmp_path), tmp_path / "page")
