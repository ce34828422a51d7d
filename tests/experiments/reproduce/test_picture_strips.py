"""Charts and strips: pictures that can be opened, a column for each iteration, a row for each schedule."""

import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from fakes import box_mask, smooth_pixels
from maskmend.errors import ConfigError
from maskmend.evaluation.contact_sheet import fit, latent_mask, masked_input
from maskmend.experiments.reproduce.charts import schedule_curves, with_intervals
from maskmend.experiments.reproduce.strips import CELL, GAP, LABEL, png_bytes, schedule_strips
from maskmend.metrics.bootstrap import Interval
from maskmend.pipeline import InpaintPipeline


def test_strips_have_every_iteration(tiny_pipeline: InpaintPipeline) -> None:
    """Would catch iterations or schedules left out, and the picture of another step under a number."""
    image, mask = smooth_pixels(16, 16), box_mask(16, 16, 4, 4, 16, 16)
    masks, pictures = schedule_strips(tiny_pipeline, image, mask, ("cosine", "square"), steps=4)
    assert masks.size == pictures.size
    assert masks.width == GAP + 5 * (CELL + GAP)
    assert masks.height == LABEL + 2 * (CELL + LABEL + GAP) + GAP
    for row, schedule in enumerate(("cosine", "square")):
        result = tiny_pipeline(image, mask, steps=4, schedule=schedule)
        for column in range(5):
            left, top = GAP + column * (CELL + GAP), LABEL + row * (CELL + LABEL + GAP) + LABEL
            cell = (left, top, left + CELL, top + CELL)
            shown = tiny_pipeline.draw_candidate(result, column) if column else masked_input(result)
            for sheet, picture in ((masks, latent_mask(result, column)), (pictures, shown)):
                np.testing.assert_array_equal(np.asarray(sheet.crop(cell)), np.asarray(fit(picture, CELL)))
    result = tiny_pipeline(image, mask, steps=4)
    last = np.asarray(tiny_pipeline.draw_candidate(result, 4))
    np.testing.assert_array_equal(
        last, np.asarray(tiny_pipeline.draw_tokens(result.tokens, result.region)[0])
    )
    assert Image.open(BytesIO(png_bytes(masks))).size == masks.size


def test_charts_are_pictures() -> None:
    value = Interval(value=10.0, low=9.0, high=11.5)
    for png in (schedule_curves(), with_intervals({"a": [(1.0, value), (8.0, value)]}, "steps")):
        assert min(Image.open(BytesIO(png)).size) > 300


def test_without_matplotlib_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"'\.\[reproduce\]'"):
        schedule_curves()
