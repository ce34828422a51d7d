"""What a person at the terminal is told while the windows of a hole are decoded."""

from types import SimpleNamespace

from maskmend.cli.inpaint_picture import LevelReport
from maskmend.cli.window_report import WindowReport
from maskmend.fill.levels import LevelProgress


def preview(part, step, parts=4, last=False, samples=1, finer=0):
    """Windows are decoded in twos."""
    first = part - (part - 1) % 2
    together = tuple(range(first, min(first + 1, parts) + 1))
    told = {"window": part, "concurrent": together, "windows": {0: parts}, "last": last, "samples": samples}
    told["finer"] = {0: finer}
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


def test_many_windows_are_announced_once_as_soon_as_their_time_is_known(capsys):
    """Catches twenty seconds of silence for a text over a picture, and a line for each window."""
    told, clock, _ = report(steps=4)
    clock.now = 0.9
    told(preview(1, 4, parts=20, last=True))
    told(preview(2, 4, parts=20, last=True))
    assert capsys.readouterr().err == ""  # too early to say
    clock.now = 2.4
    told(preview(3, 4, parts=20, last=True))
    told(preview(4, 4, parts=20, last=True))
    assert (
        capsys.readouterr().err == "20 windows: about 12 s in all (--set windows=1 takes one, less sharp)\n"
    )
    clock.now = 9.0
    told(preview(5, 1, parts=20))
    assert capsys.readouterr().err == ""


def test_a_short_fill_is_not_announced(capsys):
    told, clock, _ = report(steps=4)
    clock.now = 1.2
    told(preview(1, 4, parts=2, last=True))
    told(preview(2, 4, parts=2, last=True))
    assert capsys.readouterr().err == ""


def test_finer_levels_count_and_are_announced_once(capsys):
    """Catches a time left of nothing before the longest part of a fill, and two lines on one fill."""
    told, clock, status = report(steps=4)
    clock.now = 2.0
    told(preview(1, 4, parts=1, last=True, finer=40))
    assert status.text.endswith("about 56 s left")  # each takes 0.7 times 2 s
    said = "1 window, then 40 on finer levels: about 58 s in all (--set detail=0 stops at the coarse fill)\n"
    assert capsys.readouterr().err == said
    begun = LevelProgress(image=0, sample=0, level=1, levels=2, windows=0, total=40, seconds_left=30.0)
    LevelReport(status, 1, told.long)(begun)
    assert capsys.readouterr().err == ""
