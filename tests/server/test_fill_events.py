"""The events of a fill over HTTP: how far it is, its steps as they come, and the result."""

import base64
import math
from dataclasses import asdict

import numpy as np
import pytest

from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.pipeline import InpaintPipeline
from server_parts import MASK, app_of, client_of, events_of, file_of, form, pixels_of

EVENTS = {"Accept": "text/event-stream"}


@pytest.mark.slow
def test_events_tell_how_far_the_finer_scales_are():
    """Catches a stream that is silent while most of a wide hole is drawn, and one that shows none of it."""
    image, mask = file_of(smooth_pixels(60, 60)), box_mask(60, 60, 10, 10, 50, 50)
    with client_of(app_of(InpaintPipeline(*tiny_models(guesses=True)))) as client:
        files = form(image, file_of(mask.astype(np.uint8) * 255))
        told = events_of(client.post("/v1/inpaint", files=files, data={"samples": 2}, headers=EVENTS))
    names = [name for name, _ in told]
    assert names == sorted(names, key=["queued", "started", "step", "level", "fill", "done"].index)
    levels = [data for name, data in told if name == "level"]
    assert [one["sample"] for one in levels] == sorted(one["sample"] for one in levels)
    for sample in (0, 1):
        mine = [one for one in levels if one["sample"] == sample]
        assert [mine[0]["windows"], mine[-1]["windows"]] == [0, mine[-1]["total"]]
        assert [mine[-1][name] for name in ("level", "samples", "seconds_left")] == [mine[-1]["levels"], 2, 0]
        assert mine[0]["seconds_left"] > 0
        done = [one for one in mine if "image" in one]
        assert [one["level"] for one in done] == list(range(1, mine[-1]["levels"] + 1))
        assert all(one["box"] == {"top": 10, "left": 10, "height": 40, "width": 40} for one in done)
        # The last one is the fill
        filled = pixels_of(base64.b64decode(told[-3 + sample][1]["image"]))
        np.testing.assert_array_equal(pixels_of(base64.b64decode(done[-1]["image"])), filled[10:50, 10:50])


def test_events_tell_the_steps_as_they_come(client, alone):
    """Catches steps that are missing, out of order, or of another sample."""
    answer = client.post(
        "/v1/inpaint", files=form(), data={"samples": 3, "seed": 5, "steps": 4}, headers=EVENTS
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events_of(answer)
    assert [name for name, _ in told] == ["queued", "started", *["step"] * 4, *["fill"] * 3, "done"]
    steps = [data for name, data in told if name == "step"]
    assert [(step["step"], step["steps"]) for step in steps] == [(n, 4) for n in (1, 2, 3, 4)]
    box = steps[0]["box"]
    assert (
        MASK[box["top"] : box["top"] + box["height"], box["left"] : box["left"] + box["width"]].sum()
        == MASK.sum()
    )
    for sample in range(3):
        open_tokens = ["".join(step["fills"][sample]["hidden"]).count("1") for step in steps]
        assert open_tokens == sorted(open_tokens, reverse=True)
        assert open_tokens[-1] == 0 < open_tokens[0]
        assert pixels_of(base64.b64decode(steps[0]["fills"][sample]["image"])).shape == (16, 16, 3)
    fills = [data for name, data in told if name == "fill"]
    assert [fill["index"] for fill in fills] == [0, 1, 2]
    for fill, picture in zip(fills, alone.pictures, strict=True):
        np.testing.assert_array_equal(pixels_of(base64.b64decode(fill["image"])), picture.pixels)
    assert told[-1][1]["best"] == alone.best


def test_events_tell_which_hole_a_step_is_of(client, tiny_pipeline):
    """Catches steps of holes far apart that cannot be told from each other, and boxes of another part."""
    image, mask = smooth_pixels(40, 160, 4), box_mask(40, 160, 5, 5, 11, 12)
    mask |= box_mask(40, 160, 20, 130, 26, 137)
    wanted = tiny_pipeline(image, mask, steps=2)
    answer = client.post(
        "/v1/inpaint",
        files=form(file_of(image), file_of(mask)),
        data={"samples": 1, "steps": 2},
        headers=EVENTS,
    )
    told = events_of(answer)
    steps = [data for name, data in told if name == "step"]
    assert [(s["part"], s["parts"], s["step"], s["steps"]) for s in steps] == [
        (1, 2, 1, 2), (2, 2, 1, 2), (1, 2, 2, 2), (2, 2, 2, 2)
    ]  # fmt: skip
    boxes = [steps[number]["box"] for number in (0, 1)]
    assert boxes == [asdict(region.box) for region in wanted.regions]
    (fill,) = [data for name, data in told if name == "fill"]
    np.testing.assert_array_equal(pixels_of(base64.b64decode(fill["image"])), wanted.pictures[0].pixels)


@pytest.mark.slow
def test_of_many_windows_only_the_last_step_is_told(client, tiny_pipeline, monkeypatch):
    """Catches a scratch for which drawing the steps takes several times as long as filling it."""
    # On a busy machine a step is shown between.
    monkeypatch.setattr("maskmend.server.workers.EVERY", math.inf)
    image, mask = smooth_pixels(40, 160, 4), box_mask(40, 160, 20, 5, 22, 155)
    wanted = tiny_pipeline(image, mask, steps=3)
    answer = client.post(
        "/v1/inpaint",
        files=form(file_of(image), file_of(mask)),
        data={"samples": 1, "steps": 3},
        headers=EVENTS,
    )
    told = events_of(answer)
    steps = [data for name, data in told if name == "step"]
    count = len(wanted.regions)
    assert count > 10
    assert [(s["part"], s["parts"], s["step"]) for s in steps] == [(n, count, 3) for n in range(1, count + 1)]
    assert [step["box"] for step in steps] == [asdict(region.box) for region in wanted.regions]
    assert not any("1" in row for step in steps for row in step["fills"][0]["hidden"])
    (fill,) = [data for name, data in told if name == "fill"]
    np.testing.assert_array_equal(pixels_of(base64.b64decode(fill["image"])), wanted.pictures[0].pixels)
