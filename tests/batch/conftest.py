"""Folders of pictures and masks."""

import numpy as np
import pytest
from folder_parts import GOOD, ICC, MASK, PIXELS
from PIL import Image


@pytest.fixture
def folders(tmp_path):
    """Photos of every format with masks of other suffixes."""
    photos, masks, out = (tmp_path / name for name in ("photos", "masks", "out"))
    (photos / "deep").mkdir(parents=True)
    (masks / "deep").mkdir(parents=True)
    options = {"a.png": {"icc_profile": ICC}, "deep/b.jpg": {"quality": 95, "icc_profile": ICC}}
    for name in GOOD:
        Image.fromarray(PIXELS).save(photos / name, **options.get(name, {}))
        suffix = ".png" if name != "a.png" else ".bmp"
        Image.fromarray(MASK.astype(np.uint8) * 255).save((masks / name).with_suffix(suffix))
    return photos, masks, out
