"""Watching a folder: every picture once, none before it is whole."""

import itertools
import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bulk_parts import png
from fakes import box_mask, smooth_pixels
from maskmend.batch.folder import plan_folder
from maskmend.batch.watching import Watcher
from maskmend.cli import main

MASK = png(box_mask(20, 34, 5, 6, 14, 19).astype(np.uint8) * 255)


def picture(seed=0):
    return png(smooth_pixels(20, 34, seed))


@pytest.fixture
def folders(tmp_path):
    for name in ("photos", "masks"):
        (tmp_path / name).mkdir()
    return tmp_path / "photos", tmp_path / "masks", tmp_path / "out"


@pytest.fixture
def watcher(folders):
    """Whose looks lie a second apart."""
    seconds = itertools.count(1000.0)
    return Watcher(partial(plan_folder, *folders, may_be_empty=True), clock=lambda: next(seconds))


def test_looks_in_quick_succession_take_nothing(folders):
    """Catches a picture that is taken because it did not grow within a millisecond."""
    photos, masks, _ = folders
    now = [5.0]
    watcher = Watcher(partial(plan_folder, *folders, may_be_empty=True), clock=lambda: now[0])
    put(masks / "a.png", MASK)
    put(photos / "a.png", picture())
    for now[0] in (5.0, 5.1, 5.9):
        assert watcher.poll() == []
    put(photos / "a.png", picture(1))
    for now[0] in (6.0, 6.9):
        assert watcher.poll() == []
    now[0] = 7.0
    assert names(watcher.poll()) == ["a.png"]


def names(tasks):
    return [task.name for task in tasks]


def put(path: Path, content: bytes) -> None:
    """Writes a file whose time of change is another one than before, whatever the clock's grain."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_bytes(content)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_a_picture_is_taken_when_it_no_longer_grows(folders, watcher):
    """Catches a picture that is filled while it is copied into the folder."""
    photos, masks, _ = folders
    put(masks / "a.png", MASK)
    for end in (100, 200, 300):
        put(photos / "a.png", picture()[:end])
        assert watcher.poll() == []
    put(photos / "a.png", picture())
    assert watcher.poll() == []
    assert names(watcher.poll()) == ["a.png"]


def test_a_folder_that_vanishes_during_a_look_is_no_error(folders, watcher, monkeypatch):
    """Catches a watch that ends because a camera's program removed a folder within at the wrong moment."""
    photos, masks, _ = folders
    put(masks / "a.png", MASK)
    put(photos / "a.png", picture())
    (photos / "going").mkdir()
    look = os.scandir

    def scandir(path="."):
        if Path(path).name == "going":
            Path(path).rmdir()
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert watcher.poll() == []
    assert not (photos / "going").exists()
    assert names(watcher.poll()) == ["a.png"]


def test_a_picture_waits_for_its_mask_and_the_mask_to_be_whole(folders, watcher):
    photos, masks, _ = folders
    put(photos / "a.png", picture())
    for _ in range(3):
        assert watcher.poll() == []
    assert list(watcher.waiting) == ["a.png"]
    assert "no mask of that name" in watcher.waiting["a.png"]
    put(masks / "a.png", MASK[:50])
    assert watcher.poll() == []
    put(masks / "a.png", MASK)
    assert watcher.poll() == []
    assert names(watcher.poll()) == ["a.png"]
    assert watcher.waiting == {}


def test_what_failed_is_tried_again_once_it_has_changed(folders, watcher):
    """Catches a damaged picture that is tried every second, or never again."""
    photos, masks, _ = folders
    put(photos / "a.png", picture()[:90])
    put(masks / "a.png", MASK)
    watcher.poll()
    ready = watcher.poll()
    assert watcher.tried(ready, {"a.png": "truncated"}) == []
    assert watcher.poll() == []
    assert watcher.failures == {"a.png": "truncated"}
    put(photos / "a.png", picture())
    assert watcher.poll() == []
    assert watcher.failures == {}
    assert names(watcher.poll()) == ["a.png"]
    (photos / "a.png").unlink()
    assert watcher.poll() == []


def test_what_was_changed_during_its_fill_is_filled_again(folders, watcher):
    """Catches the fill of half a picture that stays."""
    photos, masks, out = folders
    put(photos / "a.png", picture())
    put(masks / "a.png", MASK)
    watcher.poll()
    ready = watcher.poll()
    out.mkdir()
    (out / "a.png").write_bytes(b"filled")
    put(photos / "a.png", picture(1))
    assert names(watcher.tried(ready, {})) == ["a.png"]
    assert not (out / "a.png").exists()
    assert watcher.poll() == []
    assert names(watcher.poll()) == ["a.png"]


def test_what_is_done_is_not_done_again(folders, watcher):
    photos, masks, out = folders
    put(photos / "a.png", picture())
    put(masks / "a.png", MASK)
    out.mkdir()
    (out / "a.png").write_bytes(b"filled")
    for _ in range(3):
        assert watcher.poll() == []
    assert names(watcher.done) == ["a.png"]


def run(folders, tiny_model, monkeypatch, steps, *options):
    """The command, whose sleep does one of `steps` after the other, and is interrupted at the end."""
    photos, masks, out = folders
    left = list(steps)

    def sleep(seconds):
        assert seconds > 0
        if not left:
            raise KeyboardInterrupt
        left.pop(0)()

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("maskmend.batch.watching.SETTLED", 0.0)
    command = ["inpaint", "--watch", str(photos), "--masks", str(masks), "-o", str(out), "--steps", "2"]
    return CliRunner().invoke(main, [*command, "--model", str(tiny_model), *options], prog_name="maskmend")


def nothing():
    """A second passes."""


def test_the_command_fills_what_comes_until_it_is_stopped(folders, tiny_model, monkeypatch):
    """Catches pictures that are passed over, filled twice, or forgotten by fills.json and failures.csv."""
    photos, masks, out = folders
    put(photos / "early.png", picture())
    put(masks / "early.png", MASK)

    def two_more():
        put(photos / "late.png", picture(1))
        put(masks / "late.png", MASK)
        put(photos / "bad.png", b"no picture")
        put(masks / "bad.png", MASK)

    put(masks / "never.png", MASK)
    result = run(folders, tiny_model, monkeypatch, [nothing, nothing, two_more, nothing, nothing])
    assert result.exit_code == 1, result.output
    assert "masks without an image of their name" in result.stderr
    assert "never.png" in result.stderr
    told = result.output.splitlines()
    assert told[0].startswith(f"watching {photos}")
    assert sum("filled early.png" in line for line in told) == 1
    assert sum("filled late.png" in line for line in told) == 1
    assert "filled 2 pictures" in result.stderr
    assert {path.name for path in out.iterdir()} == {"early.png", "late.png", "fills.json", "failures.csv"}
    assert "bad.png" in (out / "failures.csv").read_text()
    settings = json.loads((out / "fills.json").read_text())
    assert settings["steps"] == 2
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    put(photos / "bad.png", picture(2))
    again = run(folders, tiny_model, monkeypatch, [nothing, nothing, nothing])
    assert again.exit_code == 0, again.output
    assert "filled 1 picture into" in again.stderr
    assert not (out / "failures.csv").exists()
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert after.items() >= before.items()
    assert np.asarray(Image.open(out / "bad.png")).shape == (20, 34, 3)
    other = run(folders, tiny_model, monkeypatch, [], "--seed", "5")
    assert other.exit_code == 2
    assert "--overwrite, or another --output" in other.stderr


def test_what_watching_has_no_use_for_is_refused(folders, tiny_model, monkeypatch):
    for option in ("--overwrite", "--show"):
        result = run(folders, tiny_model, monkeypatch, [], option)
        assert result.exit_code == 2
        assert f"--watch does not take {option}" in result.stderr
    command = ["inpaint", "--watch", str(folders[0]), "-o", str(folders[2])]
    assert "'--masks'" in CliRunner().invoke(main, command).stderr
    command += ["--masks", str(folders[1] / "missing")]
    assert "no folder at" in CliRunner().invoke(main, command).stderr
