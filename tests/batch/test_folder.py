"""A folder of pictures: names matched, bad ones passed over and listed, what is done left alone."""

import json

import numpy as np
import pytest
from folder_parts import ICC, MASK, PIXELS, names, run

from maskmend.batch.folder import plan_folder
from maskmend.batch.manifest import LIKELIEST, OLDER
from maskmend.batch.manifest import NAME as SETTINGS
from maskmend.images.picture import load_image
from maskmend.masks.options import MaskOptions
from maskmend.pipeline import InpaintPipeline


def test_every_picture_keeps_its_name_format_and_profile(tiny_pipeline, folders):
    """Catches results that are flattened, renamed, or filled with another picture's mask."""
    outcome = run(tiny_pipeline, folders, seed=3)
    assert (outcome.filled, outcome.skipped, outcome.failures) == (5, 0, {})
    out = folders[2]
    assert names(out) == ["a.png", "c.webp", "d.tif", "deep/b.jpg", "e.png"]
    wanted = tiny_pipeline(PIXELS, MASK, seed=3, steps=2).pictures[0].pixels
    for name in ("a.png", "d.tif", "e.png"):
        np.testing.assert_array_equal(load_image(out / name).pixels, wanted)
    assert load_image(out / "a.png").icc == load_image(out / "deep" / "b.jpg").icc == ICC


def test_another_format_and_several_samples(tiny_pipeline, folders):
    outcome = run(tiny_pipeline, folders, suffix=".png", samples=2)
    assert outcome.filled == 5
    assert names(folders[2])[:2] == ["a-1.png", "a-2.png"]
    assert len(names(folders[2])) == 10
    assert {name.rsplit(".")[-1] for name in names(folders[2])} == {"png"}


def test_many_samples_sort_by_their_numbers(folders):
    """Catches 10 before 2, where the command for one picture pads its numbers."""
    photos, masks, out = folders
    (task,) = [task for task in plan_folder(photos, masks, out, samples=10) if task.name == "a.png"]
    assert [path.name for path in task.outputs] == [f"a-{n:02d}.png" for n in range(1, 11)]


def test_many_samples_are_made_a_few_at_a_time(tiny_pipeline, folders, monkeypatch):
    """Catches memory that grows with the samples, and a best one of the last few only."""
    whole = run(tiny_pipeline, folders, samples=5, seed=3)
    made = {path: path.read_bytes() for path in folders[2].rglob("*") if path.is_file()}
    sizes, fill = [], InpaintPipeline.__call__

    def counted(self, *given, samples, **options):
        sizes.append(samples)
        return fill(self, *given, samples=samples, **options)

    monkeypatch.setattr(InpaintPipeline, "__call__", counted)
    monkeypatch.setattr("maskmend.batch.samples.MOST", 2)
    parted = run(tiny_pipeline, folders, samples=5, seed=3, overwrite=True)
    assert set(sizes) == {2, 1}
    assert parted.likeliest == whole.likeliest
    assert {path: path.read_bytes() for path in folders[2].rglob("*") if path.is_file()} == made


def test_the_likeliest_of_several_is_told_and_noted(tiny_pipeline, folders):
    """Catches four fills of each picture and no word of which to take; and one that a stopped run knew only
    while it ran."""

    def stop(stage, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_pipeline, folders, samples=4, seed=3, progress=stop)
    record = folders[2] / SETTINGS
    assert list(json.loads(record.read_text())[LIKELIEST]) == ["a.png", "c.webp"]
    outcome = run(tiny_pipeline, folders, samples=4, seed=3)
    wanted = {}
    for name in ("a.png", "deep/b.jpg", "e.bmp"):
        best = tiny_pipeline(load_image(folders[0] / name), MASK, samples=4, seed=3, steps=2).best + 1
        wanted[name] = f"{name[:-4]}-{best}{'.png' if name == 'e.bmp' else name[-4:]}"
    assert wanted.items() <= outcome.likeliest.items()
    assert len(outcome.likeliest) == 5
    assert json.loads(record.read_text())[LIKELIEST] == outcome.likeliest
    assert run(tiny_pipeline, folders, samples=4, seed=3).likeliest == outcome.likeliest


def test_the_likeliest_is_that_of_the_pictures_there(tiny_pipeline, folders):
    """Catches a record that names a fill of settings that are gone, or forgets one that is still there."""
    run(tiny_pipeline, folders, samples=2, seed=0)
    before = run(tiny_pipeline, folders, samples=2, seed=0).likeliest
    (folders[1] / "c.png").write_bytes(b"no mask")
    seed = next(
        seed
        for seed in range(1, 50)
        if f"a-{tiny_pipeline(PIXELS, MASK, samples=2, seed=seed, steps=2).best + 1}.png" != before["a.png"]
    )
    after = run(tiny_pipeline, folders, samples=2, seed=seed, overwrite=True).likeliest
    assert after["a.png"] != before["a.png"]
    assert "c.webp" not in after  # it is of the other seed, and none was made by this run
    record = json.loads((folders[2] / SETTINGS).read_text())
    assert (record[OLDER], record[LIKELIEST]) == (["c.webp"], after | {"c.webp": before["c.webp"]})
    assert run(tiny_pipeline, folders, overwrite=True).likeliest == {}
    assert LIKELIEST not in json.loads((folders[2] / SETTINGS).read_text())


def test_no_likeliest_is_told_that_is_not_there(tiny_pipeline, folders):
    """Catches names of files that went with their image, or whose image can no longer be filled."""
    photos, masks, out = folders
    run(tiny_pipeline, folders, samples=2)
    (photos / "a.png").unlink()
    (masks / "c.png").unlink()
    for path in (*out.glob("a-*"), *out.glob("c-*")):
        path.unlink()
    outcome = run(tiny_pipeline, folders, samples=2)
    assert list(outcome.failures) == ["c.webp"]
    assert list(outcome.likeliest) == ["d.tif", "deep/b.jpg", "e.bmp"]
    assert json.loads((out / SETTINGS).read_text())[LIKELIEST] == outcome.likeliest


@pytest.mark.parametrize("channel", ["auto", "luma", "alpha"])
def test_every_way_to_read_masks_is_tried_out(tiny_pipeline, folders, channel):
    """Catches a check that refuses what could be read."""
    reading = MaskOptions(channel=channel, threshold=1.0, invert=True, fit=True)
    assert set(run(tiny_pipeline, folders, reading=reading).failures) == set(
        () if channel != "alpha" else ("a.png", "c.webp", "d.tif", "deep/b.jpg", "e.bmp")
    )
