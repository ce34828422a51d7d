"""How far a picture lies from what the model learnt: the distance, and when a fill comes with a note."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from fakes import box_mask, smooth_pixels, tiny_models
from maskmend import InpaintPipeline
from maskmend.assets import ASSETS
from maskmend.errors import ConfigError, ModelError
from maskmend.fill.familiarity import LEAST, Domain, quantization_distance
from maskmend.images.picture import load_image

IMAGE = smooth_pixels(32, 32)
MASK = box_mask(32, 32, 10, 10, 18, 20)
CATS = Domain(learnt="cat faces", distance=1.0)


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
    pipeline(CATS).save_pretrained(tmp_path / "with")
    assert InpaintPipeline.from_pretrained(tmp_path / "with").domain == CATS
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
