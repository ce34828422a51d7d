"""A picture with masks of several kinds, `maskmend inpaint` with the tiny model, networks of a few lines."""

from pathlib import Path

import numpy as np
import pytest
from command_line import HEIGHT, MASK, PIXELS, WIDTH, invoke, save_mask
from PIL import Image
from scored import COUNT, SIDE, SmallInception, SmallLpips, write

from crafted_files import bomb
from fakes import smooth_pixels
from maskmend.perceptual.inception import Inception
from maskmend.perceptual.lpips import Lpips


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of good and bad input."""
    folder = tmp_path_factory.mktemp("input")
    photo = Image.fromarray(PIXELS)
    photo.save(folder / "photo.png")
    photo.save(folder / "photo.jpg", quality=95)
    Image.fromarray(np.dstack([PIXELS, np.full((HEIGHT, WIDTH), 200, np.uint8)])).save(folder / "alpha.png")
    (folder / "truncated.png").write_bytes((folder / "photo.png").read_bytes()[:-300])
    (folder / "truncated.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:-200])
    (folder / "noise.png").write_bytes(b"this is no picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "bomb.png").write_bytes(bomb(30_000, 30_000))
    (folder / "large.png").write_bytes(bomb(10_000, 9_000))
    turning = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "green", "blue")]
    turning[0].save(folder / "animated.gif", save_all=True, append_images=turning[1:])
    Image.new("I;16", (WIDTH, HEIGHT)).save(folder / "deep.png")
    Image.new("CMYK", (WIDTH, HEIGHT)).save(folder / "print.tif")
    save_mask(MASK, folder / "mask.png")
    save_mask(~MASK, folder / "inverse.png")
    save_mask(np.zeros_like(MASK), folder / "nothing.png")
    save_mask(np.ones_like(MASK), folder / "all.png")
    save_mask(np.kron(MASK, np.ones((2, 2), bool)), folder / "twice.png")
    erased = np.dstack([PIXELS, np.where(MASK, 0, 255).astype(np.uint8)])
    Image.fromarray(erased).save(folder / "erased.png")
    return folder


@pytest.fixture
def inpaint(files, tiny_model, tmp_path):
    """inpaint("photo.png", "--steps", "2", ...): runs the command on a file of the input folder."""

    def run(image="photo.png", *options, mask="mask.png", output="out.png", model=tiny_model):
        out = [] if output is None else ["-o", str(tmp_path / output)]
        command = ["inpaint", str(files / image), "--mask", str(files / mask), *out, "--model", str(model)]
        return invoke([*command, *options])

    return run


@pytest.fixture
def small_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a cache of its own: the true one must never see these networks' features."""
    monkeypatch.setenv("MASKMEND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Inception, "load", lambda **options: SmallInception())
    monkeypatch.setattr(Lpips, "load", lambda net: SmallLpips())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write(tmp_path / "images", [smooth_pixels(SIDE, SIDE, n) for n in range(COUNT)])
