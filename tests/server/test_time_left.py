"""Time left and regular news of a hole in many windows, measured by a clock that only the fill moves."""

import itertools
from dataclasses import replace

import pytest

from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.images.picture import picture_from
from maskmend.pipeline import InpaintPipeline
from maskmend.server.queue import Job
from maskmend.server.responses import step_event
from maskmend.server.workers import EVERY, fill

STEPS = 4


class Ticking(InpaintPipeline):
    """A decoding step, of however many windows together, takes so many seconds."""

    now, pace = 0.0, 0.0

    def __call__(self, *given, events, **more):
        def tick(_):
            self.now += self.pace

        return super().__call__(*given, events=replace(events, on_step=tick), **more)


def told_of(pipe, width, bottom=22):
    """(time, detail) of each step event of a scratch `width` pixels long, or of a hole down to `bottom`."""
    told = []
    job = Job(
        picture=picture_from(smooth_pixels(40, width, 4)), mask=box_mask(40, width, 20, 5, bottom, width - 5),
        model="tiny", samples=4, seed=0, settings={"steps": STEPS}, watched=True,
        notify=lambda what, detail: told.append((pipe.now, detail)) if what == "step" else None,
    )  # fmt: skip
    fill(pipe, [job], lambda *_: None, clock=lambda: pipe.now)
    return told


@pytest.fixture
def pipe(tiny_pipeline):
    return Ticking(tiny_pipeline.tokenizer, tiny_pipeline.transformer, tiny_pipeline.defaults)


def test_many_windows_are_told_of_about_once_a_second_with_the_time_left(pipe):
    """Catches half a minute of silence while four windows are decoded together, and "part N of M" without a
    word on how long it takes."""
    pipe.pace = 0.7
    told = told_of(pipe, 160)
    parts, end = told[0][1]["parts"], pipe.now
    assert parts > 8
    times = [0.0, *(time for time, _ in told), end]
    assert max(after - before for before, after in itertools.pairwise(times)) < EVERY + pipe.pace
    between = [detail for _, detail in told if any(hidden.any() for hidden in detail["hidden"])]
    assert 0 < len(between) <= end / EVERY
    batch = STEPS * pipe.pace
    for time, detail in told:
        event = step_event(detail, STEPS)
        assert event["seconds_left"] == pytest.approx(end - time, abs=batch)  # the last one may be smaller
        assert event["seconds_left"] == round(event["seconds_left"], 1)
    assert told[-1][1]["seconds_left"] == 0


def test_what_takes_a_moment_costs_no_pictures_between(pipe):
    """Catches previews of every step of many windows, which take several times as long as filling them."""
    pipe.pace = 0.01
    told = told_of(pipe, 160)
    assert not any(hidden.any() for _, detail in told for hidden in detail["hidden"])


def test_the_time_left_of_few_parts_counts_down(pipe):
    pipe.pace = 2.0
    told = told_of(pipe, 20)
    assert {detail["parts"] for _, detail in told} == {1}
    *before, last = [detail["seconds_left"] for _, detail in told]
    assert before == pytest.approx([2.0 * (STEPS - step) for step in range(1, len(told))])
    assert last == 0


def test_finer_scales_are_in_the_time_left():
    """Catches "0 s left" before most of the work of a wide hole."""
    pipe = Ticking(*tiny_models(guesses=True))
    pipe.pace = 2.0
    told = told_of(pipe, 60, bottom=40)
    assert {detail["parts"] for _, detail in told} == {1}
    assert told[-1][1]["seconds_left"] > STEPS * pipe.pace
