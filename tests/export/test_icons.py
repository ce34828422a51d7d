"""The site's icons: the editor's SVG, as PNG."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from maskmend.export.icons import SAFE, icon_png
from maskmend.export.web import ICONS, PAGE, SITE

SVG = (PAGE / "icon.svg").read_bytes()
DARK, LIGHT, RED = (32, 32, 36), (243, 239, 230), (229, 71, 95)


def drawn(side: int, *, maskable: bool = False) -> np.ndarray:
    picture = Image.open(io.BytesIO(icon_png(SVG, side, maskable=maskable)))
    assert (picture.format, picture.size) == ("PNG", (side, side))
    return np.asarray(picture.convert("RGBA"))


def test_the_icon_is_the_editors():
    """Catches squares in the wrong place, colours of groups that are not inherited, and opacity left out."""
    icon = drawn(192)
    at = {(x, y): icon[int(192 * y / 32), int(192 * x / 32)] for x in (9, 16, 23) for y in (9, 16, 23)}
    for place, colour in (((9, 9), LIGHT), ((16, 9), LIGHT), ((9, 16), LIGHT), ((23, 23), LIGHT)):
        assert tuple(at[place]) == (*colour, 255)
    assert tuple(at[16, 16]) == (*RED, 255)
    half = np.array(DARK) + 0.45 * (np.array(RED) - DARK)
    assert np.abs(at[16, 23][:3] - half).max() <= 2
    assert tuple(icon[96, 3]) == (*DARK, 255)
    assert icon[0, 0, 3] == 0  # a rounded corner


def test_launchers_may_cut_a_maskable_icon_to_a_circle():
    """Catches transparent corners, which some launchers fill with white, and squares that are cut."""
    icon = drawn(512, maskable=True)
    assert (icon[:, :, 3] == 255).all()
    assert tuple(icon[0, 0, :3]) == DARK
    rows, columns = np.nonzero((icon[:, :, :3] != DARK).any(axis=2))
    far = np.hypot(rows - 255.5, columns - 255.5).max()
    assert SAFE * 256 - 8 < far <= SAFE * 256  # all of it, and no smaller than need be


@pytest.mark.parametrize("name", list(ICONS))
def test_the_manifest_names_each_icon_with_its_size(name: str):
    """Catches an icon that is renamed in one place, and a size that is not the file's."""
    side, maskable = ICONS[name]
    manifest = json.loads((SITE / "manifest.webmanifest").read_text())
    (entry,) = [icon for icon in manifest["icons"] if icon["src"] == name]
    assert entry["sizes"] == f"{side}x{side}"
    assert entry["type"] == "image/png"
    assert (entry.get("purpose") == "maskable") == maskable
