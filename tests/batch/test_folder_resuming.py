"""Runs over folders that go on where they stopped, make anew, and mix nothing."""

import json
import os

import pytest
from folder_parts import names, run

from maskmend.batch.manifest import NAME as SETTINGS
from maskmend.errors import ConfigError
from maskmend.masks.options import MaskOptions
from maskmend.storage.temporary import beside


def test_a_stopped_run_goes_on_and_a_done_one_does_nothing(tiny_pipeline, folders):
    """Catches work that is done twice, and a run that must be begun anew."""
    told = []

    def stop(stage, done, total):
        told.append((done, total))
        if done == 2 and len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_pipeline, folders, progress=stop)
    before = {name: (folders[2] / name).stat().st_mtime_ns for name in names(folders[2])}
    assert len(before) == 2
    outcome = run(tiny_pipeline, folders, progress=stop)
    assert (outcome.filled, outcome.skipped) == (3, 2)
    assert told[2:] == [(n, 5) for n in (1, 2, 3, 4, 5)]
    assert all((folders[2] / name).stat().st_mtime_ns == then for name, then in before.items())
    assert run(tiny_pipeline, folders).skipped == 5
    assert run(tiny_pipeline, folders, overwrite=True).filled == 5


def test_a_run_removes_what_a_killed_one_was_writing(tiny_pipeline, folders):
    """Catches half results that stay among the whole ones, also where nothing is left to be written."""
    run(tiny_pipeline, folders)
    dead = beside(folders[2] / "a").name.replace(str(os.getpid()), str(2**22 + 1))
    left = [folders[2] / dead, folders[2] / "deep" / dead]
    for path in left:
        path.write_bytes(b"half")
    assert run(tiny_pipeline, folders).skipped == 5
    assert [path for path in left if path.exists()] == []


def test_pictures_made_otherwise_are_not_gone_on_with(tiny_pipeline, folders):
    """Catches a folder in which half of the pictures have another seed, unnoticed."""
    run(tiny_pipeline, folders, seed=1)
    before = (folders[2] / "a.png").read_bytes()
    for options, words in (
        ({"seed": 2}, r"seed = 1 \(now 2\)"),
        ({"seed": 1, "temperature": 0.5}, "temperature"),
    ):
        with pytest.raises(ConfigError, match=f"made with {words}.*--overwrite"):
            run(tiny_pipeline, folders, **options)
    assert (folders[2] / "a.png").read_bytes() == before
    assert run(tiny_pipeline, folders, seed=2, overwrite=True).filled == 5
    assert (folders[2] / "a.png").read_bytes() != before
    assert run(tiny_pipeline, folders, seed=2).skipped == 5
    (folders[2] / SETTINGS).write_text("[")
    with pytest.raises(ConfigError, match="made with other settings"):
        run(tiny_pipeline, folders, seed=2)
    (folders[2] / SETTINGS).unlink()
    assert run(tiny_pipeline, folders, seed=3).skipped == 5
    assert not (folders[2] / SETTINGS).exists()  # nobody knows


def test_making_anew_stopped_halfway_leaves_no_mixture(tiny_pipeline, folders):
    """Catches pictures of the old seed that the next run takes for its own."""
    run(tiny_pipeline, folders, seed=1)

    def stop(stage, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_pipeline, folders, seed=2, overwrite=True, progress=stop)
    outcome = run(tiny_pipeline, folders, seed=2)
    assert (outcome.filled, outcome.skipped) == (3, 2)
    with pytest.raises(ConfigError, match=r"samples = 1 \(now 2\)"):
        run(tiny_pipeline, folders, seed=2, samples=2)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"seed": 2**63 - 1, "samples": 2},
        {"quality": 0},
        {"growth": -1},
        {"temperature": -1.0},
    ],
    ids=str,
)
@pytest.mark.usefixtures("unchecked")
def test_impossible_options_cost_no_result(tiny_pipeline, folders, wrong):
    """Catches --overwrite with a mistyped number that removes a folder of results and then refuses."""
    run(tiny_pipeline, folders)
    before = contents(folders[2])
    with pytest.raises(ConfigError):
        run(tiny_pipeline, folders, overwrite=True, **wrong)
    assert contents(folders[2]) == before


def test_making_anew_keeps_what_cannot_be_made(tiny_pipeline, folders):
    """Catches the only result of a picture removed when its mask is lost or damaged, and such a result that a
    later run takes for one of its own settings."""
    _, masks, out = folders
    run(tiny_pipeline, folders, seed=1)
    before = {name: (out / name).read_bytes() for name in names(out)}
    mask = (masks / "c.png").read_bytes()
    (masks / "c.png").write_bytes(b"no mask")
    (masks / "d.png").unlink()
    outcome = run(tiny_pipeline, folders, seed=2, overwrite=True)
    assert (outcome.filled, sorted(outcome.failures)) == (3, ["c.webp", "d.tif"])
    for name in ("c.webp", "d.tif"):
        assert (out / name).read_bytes() == before[name]
    assert (out / "a.png").read_bytes() != before["a.png"]
    (masks / "c.png").write_bytes(mask)
    (masks / "d.png").write_bytes(mask)
    outcome = run(tiny_pipeline, folders, seed=2)
    assert (outcome.filled, outcome.skipped) == (2, 3)
    for name in ("c.webp", "d.tif"):
        assert (out / name).read_bytes() != before[name]
    assert run(tiny_pipeline, folders, seed=2).skipped == 5


def test_a_record_that_only_looks_otherwise_is_the_same(tiny_pipeline, folders):
    """Catches a newline of an editor, or a setting that a version had no word for, called another setting; a
    threshold left out is the one that is used."""
    run(tiny_pipeline, folders, reading=MaskOptions(photo_check="off"))
    assert run(tiny_pipeline, folders, reading=MaskOptions()).skipped == 5
    (folders[2] / SETTINGS).unlink()
    run(tiny_pipeline, folders, overwrite=True)
    record = folders[2] / SETTINGS
    record.write_text(record.read_text() + "\n")
    assert run(tiny_pipeline, folders).skipped == 5
    known = json.loads(record.read_text())
    record.write_text(json.dumps({name: value for name, value in known.items() if value is not None}))
    assert run(tiny_pipeline, folders).skipped == 5
    for content in (b"\xff", b"[]", b"{}", b"3"):
        record.write_bytes(content)
        with pytest.raises(ConfigError, match="made with other settings: give --overwrite"):
            run(tiny_pipeline, folders)
