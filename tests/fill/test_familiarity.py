"""How far a picture lies from what the model learnt: the distance, and when a fill comes with a note."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from fakes import box_mask, smooth_pixels, tiny_models
from maskmend import InpaintPipeline
from maskmend.assets import ASSETS
from maskmend.errors import ConfigError, ModelError
from maskmend.fill.familiarity import LEAST, UNCERTAIN, Domain, hole_uncertainty, quantization_distance
from maskmend.fill.texture import Texture
from maskmend.images.picture import load_image

IMAGE = smooth_pixels(32, 32)
MASK = box_mask(32, 32, 10, 10, 18, 20)
CATS = Domain(learnt="cat faces", distance=1.0)
UNIT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
TEXTURE = Texture(mean=(0.0, 0.0, 0.0), precision=UNIT)


def pipeline(domain: Domain | None) -> InpaintPipeline:
    pipe = InpaintPipeline(*tiny_models())
    pipe.domain = domain
    return pipe


def test_the_distance_is_that_of_known_tokens_alone():
    """Catches tokens of the hole, whose latents are an infill's, that speak for the picture."""
    distances = [torch.tensor([1.0, 2.0, 100.0]), torch.tensor([100.0, 100.0, 6.0])]
    holes = [torch.tensor([False, False, True]), torch.tensor([True, True, False])]
    assert quantization_distance(distances, holes) == pytest.approx(3.0)


def test_few_known_tokens_say_nothing():
    """Catches a picture judged by its margin, and a mean over no token at all."""
    distances, few = torch.ones(100), torch.ones(100, dtype=torch.bool)
    assert quantization_distance([distances], [few]) is None
    few[: round(100 * LEAST) - 1] = False
    assert quantization_distance([distances], [few]) is None
    few[: round(100 * LEAST)] = False
    assert quantization_distance([distances], [few]) == 1.0


def test_a_picture_beyond_the_limit_gets_a_note_and_one_below_none():
    measured = pipeline(CATS)(IMAGE, MASK).unfamiliar
    assert measured is not None
    near, far = (pipeline(replace(CATS, distance=measured * factor))(IMAGE, MASK) for factor in (1.25, 0.8))
    assert (near.note, near.unfamiliar) == (None, pytest.approx(0.8))
    assert far.unfamiliar == pytest.approx(1.25)
    assert far.note == (
        "this picture is unlike what the model learnt (cat faces): expect the fill to look like them"
    )


def test_the_note_changes_no_picture():
    """Catches a fill that depends on whether its picture was judged."""
    without = pipeline(None)(IMAGE, MASK, samples=2)
    judged = pipeline(Domain(learnt="cat faces", distance=1e-6))(IMAGE, MASK, samples=2)
    assert (without.note, without.unfamiliar) == (None, None)
    assert judged.note is not None
    for before, after in zip(without.pictures, judged.pictures, strict=True):
        np.testing.assert_array_equal(before.pixels, after.pixels)
    np.testing.assert_array_equal(without.tokens, judged.tokens)


def test_the_verdict_is_the_same_in_any_batch():
    """Catches a distance that depends on what else was filled."""
    pipe = pipeline(CATS)
    alone = pipe(IMAGE, MASK).unfamiliar
    many = pipe([smooth_pixels(40, 30, 3), IMAGE], [box_mask(40, 30, 2, 2, 9, 9), MASK])
    assert many[1].unfamiliar == alone
    assert many[0].unfamiliar != alone


@pytest.mark.parametrize("domain", [None, CATS], ids=["no domain", "cat faces"])
@pytest.mark.parametrize(
    ("mask", "amount"),
    [
        (np.ones((32, 32), dtype=bool), "nothing"),
        (np.full((32, 32), 200, dtype=np.uint8), "nothing"),
        (box_mask(32, 32, 2, 2, 30, 30), "little"),
    ],
    ids=["full", "uniform grey", "all but a margin"],
)
def test_a_mask_that_leaves_next_to_nothing_is_told(mask, amount, domain):
    """Catches a picture that is replaced by another without a word."""
    result = pipeline(domain)(IMAGE, mask)
    learnt = "" if domain is None else " (cat faces)"
    assert result.unfamiliar is None
    assert result.note == (
        f"the mask leaves {amount} of the picture to go by: the fill shows what the model learnt{learnt}"
    )


def test_many_thin_holes_leave_enough_to_go_by():
    """Catches a picture with a scratch through every token, most of its pixels known, called nearly gone."""
    mask = np.zeros((32, 32), dtype=bool)
    mask[::3] = True
    result = pipeline(CATS)(IMAGE, mask)
    assert (result.note, result.unfamiliar) == (None, None)


def test_with_a_texture_the_pixels_decide_and_not_the_codes():
    """Catches a limit compared with a distance of the other kind, and pixels of the hole that count."""
    domain = replace(CATS, texture=TEXTURE)
    result = pipeline(domain)(IMAGE, MASK)
    changed = IMAGE.copy()
    changed[MASK] = 255 - changed[MASK]
    assert result.unfamiliar is not None
    assert result.unfamiliar != pipeline(CATS)(IMAGE, MASK).unfamiliar
    assert pipeline(domain)(changed, MASK).unfamiliar == result.unfamiliar
    half = pipeline(replace(domain, distance=2 * result.unfamiliar))(IMAGE, MASK)
    assert (half.unfamiliar, half.note) == (pytest.approx(0.5), None)
    twice = pipeline(replace(domain, distance=result.unfamiliar / 2))(IMAGE, MASK)
    assert "unlike what the model learnt (cat faces)" in (twice.note or "")


def test_with_a_texture_thin_holes_can_be_judged():
    """Catches a picture with a scratch through every token that is not judged though most of it is known."""
    mask = np.zeros((32, 32), dtype=bool)
    mask[::8] = True
    assert pipeline(replace(CATS, texture=TEXTURE))(IMAGE, mask).unfamiliar is not None
    full = pipeline(replace(CATS, texture=TEXTURE))(IMAGE, np.ones_like(mask))
    assert full.unfamiliar is None


def test_an_uncertain_hole_gets_a_note_and_a_certain_one_none():
    """Catches a limit that nothing is compared with, and a note that hides the other."""
    measured = hole_uncertainty(pipeline(None)(IMAGE, MASK))
    assert measured > 0
    near, far = (replace(CATS, distance=1e6, uncertainty=measured * factor) for factor in (1.01, 0.99))
    assert pipeline(near)(IMAGE, MASK).note is None
    result = pipeline(far)(IMAGE, MASK)
    assert result.note == UNCERTAIN
    assert result.unfamiliar is not None
    both = pipeline(replace(far, distance=1e-6))(IMAGE, MASK).note or ""
    assert both.startswith("this picture is unlike")
    assert both.endswith(f"; {UNCERTAIN}")
    full = pipeline(far)(IMAGE, np.ones_like(MASK)).note or ""
    assert full.startswith("the mask leaves nothing")
    assert UNCERTAIN not in full


def test_the_wider_of_equal_holes_is_the_more_uncertain():
    """Catches a mean over the hole, which is the same for any width, and a sum over distant holes."""
    result = pipeline(None)(smooth_pixels(64, 64), box_mask(64, 64, 4, 4, 10, 10))
    (region,) = result.regions
    assert region.box.height == region.box.width == 16
    even = replace(result, uncertainty=np.where(result.mask, np.float32(2), np.float32(0)))
    assert hole_uncertainty(even) == pytest.approx(2 * 36 / 16**2)
    both = box_mask(64, 64, 4, 4, 10, 10) | box_mask(64, 64, 40, 40, 48, 48)
    result = pipeline(None)(smooth_pixels(64, 64), both)
    even = replace(result, uncertainty=np.where(both, np.float32(2), np.float32(0)))
    assert hole_uncertainty(even) == pytest.approx(2 * 64 / 20**2)


def test_encoding_with_distances_gives_the_tokens_of_encoding():
    tokenizer, _ = tiny_models()
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        tokens, distances = tokenizer.encode_with_distances(images)
        latents = tokenizer.encoder(images)
        codes = tokenizer.quantizer.lookup(tokens)
        assert torch.equal(tokens, tokenizer.encode(images))
    torch.testing.assert_close(distances, (latents - codes).square().sum(1))


def test_what_a_model_learnt_is_saved_and_loaded(tmp_path):
    """Catches a limit that a copy of the model loses, and a folder without one that does not load."""
    for domain in (CATS, replace(CATS, texture=TEXTURE, uncertainty=2.5)):
        pipeline(domain).save_pretrained(tmp_path / "with")
        assert InpaintPipeline.from_pretrained(tmp_path / "with").domain == domain
    pipeline(None).save_pretrained(tmp_path / "without")
    assert "domain" not in json.loads((tmp_path / "without" / "model_index.json").read_text())
    assert InpaintPipeline.from_pretrained(tmp_path / "without").domain is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learnt": " "}, "learnt = ' '.*1 to 80 characters"),
        ({"learnt": "cats\nX-Evil: 1"}, "in one line"),
        ({"learnt": "c" * 81}, "1 to 80 characters"),
        ({"distance": 0.0}, r"distance = 0\.0.*above 0"),
        ({"distance": float("nan")}, "distance = nan.*finite"),
        ({"uncertainty": 0.0}, r"uncertainty = 0\.0.*above 0"),
    ],
    ids=str,
)
def test_a_domain_that_says_nothing_is_refused(tmp_path, changes, words):
    """Catches a note of several lines or without a name, and a limit that no picture or every one passes."""
    with pytest.raises(ConfigError, match=words):
        Domain(**(asdict(CATS) | changes))
    pipeline(CATS).save_pretrained(tmp_path / "model")
    index = tmp_path / "model" / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"domain": asdict(CATS) | changes}))
    with pytest.raises(ModelError, match=words):
        InpaintPipeline.from_pretrained(tmp_path / "model")


def test_the_shipped_model_knows_its_samples():
    """Catches a shipped limit that its own sample pictures pass, or that of another tokenizer."""
    pipe = InpaintPipeline.from_pretrained("cats64")
    assert pipe.domain is not None
    assert pipe.domain.learnt == "cat faces"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    mask = box_mask(64, 64, 24, 24, 40, 40)
    samples = sorted(path for path in (ASSETS / "samples").glob("*.png") if "mask" not in path.name)
    results = [pipe(load_image(path), mask, steps=1) for path in samples]
    assert [result.note for result in results] == [None] * len(samples)
    assert "(cat faces)" in (pipe(noise, mask, steps=1).note or "")


def drawing(side: int) -> np.ndarray:
    """Black circles on white."""
    canvas = Image.new("RGB", (4 * side, 4 * side), (255, 255, 255))
    for inset in (side // 2, side, 3 * side // 2):
        box = (inset, inset, 4 * side - inset, 4 * side - inset)
        ImageDraw.Draw(canvas).ellipse(box, outline=(0, 0, 0), width=8)
    return np.asarray(canvas.resize((side, side), Image.Resampling.LANCZOS))


def test_the_default_model_knows_photographs_from_drawings_and_noise():
    """Catches limits of other pictures, or of a statistic by which drawings and noise are nearer to what the
    shipped model learnt than photographs."""
    pipe = InpaintPipeline.from_pretrained("photo")
    assert pipe.domain is not None
    assert pipe.domain.learnt == "photographs"
    once = {"steps": 1, "detail": 0}
    mask = box_mask(256, 256, 110, 110, 150, 150)
    # The shipped photographs are larger; their middle, at their own size and reduced.
    for path in sorted((ASSETS / "photographs").glob("*.jpg")):
        image = Image.open(path).convert("RGB")
        middle = image.crop((0, 0, min(image.size), min(image.size))).resize((256, 256))
        assert pipe(middle, mask, **once).note is None, path.name
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    for unlike in (drawing(256), noise):
        assert "unlike what the model learnt (photographs)" in (pipe(unlike, mask, **once).note or "")
