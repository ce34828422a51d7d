"""What a person at the terminal is told while the windows of a hole are decoded."""

from types import SimpleNamespace

from maskmend.cli.window_report import WindowReport


def preview(part, step, parts=4, last=False, samples=1):
    """Windows are decoded in twos."""
    first = part - (part - 1) % 2
    together = tuple(range(first, min(first + 1, parts) + 1))
    told = {"part": part, "together": together, "parts": {0: parts}, "last": last, "samples": samples}
    return SimpleNamespace(step=SimpleNamespace(index=step), **told)


def report(steps=8, samples=1):
    clock, status = SimpleNamespace(now=0.0), SimpleNamespace(text="")
    status.update = lambda text: setattr(status, "text", text)
    return WindowReport(status, steps, samples, clock=lambda: clock.now), clock, status


def test_windows_steps_and_seconds_are_told():
    """Catches a minute without a word, and a time left that counts windows of one batch as one."""
    told, clock, status = report()
    told(preview(1, 4))
    told(preview(2, 4))
    assert status.text == "filling: window 2 of 4, step 4 of 8"
    clock.now = 3.0
    told(preview(1, 8))
    told(preview(2, 8))
    assert status.text == "filling: window 2 of 4, step 8 of 8, about 3 s left"
    clock.now = 6.0
    told(preview(3, 2, last=True))
    told(preview(4, 2, last=True))  # all tokens were settled before the last step
    assert status.text == "filling: window 4 of 4, step 2 of 8, about 0 s left"


def test_a_single_window_counts_its_steps():
    """Catches "window 1 of 1"."""
    told, clock, status = report(steps=4)
    clock.now = 2.0
    told(preview(1, 1, parts=1))
    assert status.text == "filling: step 1 of 4, about 6 s left"


def test_the_next_samples_begin_anew():
    """Catches a time left that shrinks to nothing while samples are still to come."""
    told, clock, status = report(steps=2)
    told(preview(1, 2, parts=1))
    clock.now = 10.0
    told(preview(1, 1, parts=1))
    clock.now = 12.0
    told(preview(1, 1, parts=1))
    assert status.text.endswith("about 2 s left")


def test_fills_that_are_still_to_be_decoded_count():
    """Catches the time of one batch of sixteen fills, told as that of sixty-four."""
    told, clock, status = report(steps=2, samples=64)
    clock.now = 30.0
    told(preview(1, 1, parts=1, samples=16))
    assert status.text.endswith("about 4 min left")  # 30 s of this batch, 60 s of each of three more
    told.before = 48
    told(preview(1, 1, parts=1, samples=16))
    assert status.text.endswith("about 30 s left")
