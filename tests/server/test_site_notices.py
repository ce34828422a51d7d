"""The notes that the site's worker makes: those of Python, from the same pixels and uncertainty."""

import itertools
import shutil

import numpy as np
import pytest

from browser_parts import files_served
from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.config import to_dict
from maskmend.export.web import PAGE, SITE
from maskmend.fill.familiarity import Domain, hole_uncertainty, texture_distance, with_familiarity
from maskmend.fill.texture import fit_texture, texture_of
from maskmend.pipeline import InpaintPipeline

FAMILIARITY = """async (cases) => {
  const { familiarity } = await import("./browser/familiarity.js");
  const [width, height] = [64, 64];
  const said = ({ key, values }) => key.replace(/\\{(\\d)\\}/g, (_, i) => (
    values[i].key ? said(values[i]) : values[i]));
  return cases.map(({ planes, open, entropy, domain }) => {
    const mask = { width, height, data: Uint8Array.from(open) };
    const image = { width, height, planes: planes.map((plane) => Float32Array.from(plane)) };
    const box = { top: 0, left: 0, width, height };
    const part = { top: 20, left: 20, width: 24, height: 24 };
    const region = { image, mask, window: { box, part } };
    const found = familiarity([{ region }], mask, Float32Array.from(entropy), domain);
    return [found.unfamiliar, found.note && said(found.note)];
  });
}"""


def test_textures_and_uncertain_holes_are_told_as_in_python(browser, tmp_path):
    """Catches other statistics of the pixels, pixels of the hole among them, and other words."""
    hole = box_mask(64, 64, 20, 20, 44, 44)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    textures = [texture_of([(smooth_pixels(64, 64, n), ~hole)]) for n in range(8)]
    usual = fit_texture([texture for texture in textures if texture is not None])
    pipe = InpaintPipeline(*tiny_models(16))
    given, wanted = [], []
    for image in (smooth_pixels(64, 64, 1), noise):
        result = pipe(image, hole)
        measured = texture_distance(result.regions, usual)
        assert measured is not None
        for near, certain in itertools.product((1.1, 0.9), repeat=2):
            domain = Domain(
                learnt="smooth squares",
                distance=near * measured,
                texture=usual,
                uncertainty=certain * hole_uncertainty(result),
            )
            given.append(
                {
                    "planes": result.regions[0].image[0].flatten(1).tolist(),
                    "open": hole.ravel().astype(int).tolist(),
                    "entropy": result.uncertainty.ravel().tolist(),
                    "domain": to_dict(domain),
                }
            )
            told = with_familiarity(result, measured, domain)
            wanted.append([told.unfamiliar, told.note])
    shutil.copytree(SITE, tmp_path / "site")
    shutil.copy(PAGE / "failure.js", tmp_path / "site")
    page = browser.new_page()
    with files_served(tmp_path / "site") as url:
        page.goto(f"{url}manifest.webmanifest")
        found = page.evaluate(FAMILIARITY, given)
    page.close()
    assert [note for _, note in found] == [note for _, note in wanted]
    assert [note is None for _, note in found] == [True, False, False, False] * 2
    assert [unfamiliar for unfamiliar, _ in found] == pytest.approx([value for value, _ in wanted], rel=1e-9)
