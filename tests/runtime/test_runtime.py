"""The runtime without PyTorch: the same tokens and pictures as the pipeline, and no torch."""

import json
import math
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from exported import KINDS, exported
from fakes import box_mask, smooth_pixels
from maskmend.decoding import noise
from maskmend.decoding.mask_counts import mask_counts
from maskmend.decoding.sampling import sample
from maskmend.decoding.schedules import schedule_named
from maskmend.errors import ConfigError, ImageError, MaskError, ModelError
from maskmend.export.onnx import export_onnx
from maskmend.images.infill import infill
from maskmend.pipeline import InpaintPipeline
from maskmend.runtime import Runtime, sampling
from maskmend.runtime import noise as hashed
from maskmend.runtime.infill import diffuse
from maskmend.seeds import MAX_SEED
from maskmend.settings import SCHEDULES, Settings

IMAGE, MASK = smooth_pixels(16, 16), box_mask(16, 16, 3, 5, 11, 14)


@pytest.fixture(scope="module", params=KINDS)
def both(request):
    """A pipeline and a runtime of the same model."""
    pipe, folder = exported(request.param)
    return pipe, Runtime(folder, threads=1)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"steps": 3, "temperature": 0.7, "seam": "hard"},
        {"order": "random", "schedule": "linear"},
        {"choice": "argmax", "confidence": "probability", "noise": 4.5},
        {"top_k": 5, "top_p": 0.8, "sweet_spot": 4},
    ],
    ids=str,
)
def test_same_seeds_give_the_same_tokens_as_pytorch(both, settings):
    """Catches any difference between the two ways through the model: noise, order, hints, padding."""
    pipe, runtime = both
    ours = runtime.fill(IMAGE, MASK, seed=11, samples=3, **settings)
    theirs = pipe(IMAGE, MASK, seed=11, samples=3, **settings)
    np.testing.assert_array_equal(ours.tokens, theirs.tokens)
    for one, other in zip(ours.pictures, theirs.pictures, strict=True):
        assert np.abs(one.astype(int) - other.pixels).max() <= 1
        np.testing.assert_array_equal(one[~MASK], IMAGE[~MASK])


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")  # the exporter would trace the annotations' checks too
def test_the_shipped_model_fills_alike(tmp_path):
    """Catches what tiny models cannot show: 256 tokens, 1,024 codes, the shipped shapes and defaults."""
    pipe = InpaintPipeline.from_pretrained("default", precision="fp32")
    export_onnx(pipe, tmp_path)
    side = pipe.resolution
    image, mask = smooth_pixels(side, side), box_mask(side, side, 10, 14, 40, 37)
    ours = Runtime(tmp_path, threads=1).fill(image, mask, seed=3, samples=2)
    theirs = pipe(image, mask, seed=3, samples=2, plain=0.0)  # the runtime interpolates nothing
    np.testing.assert_array_equal(ours.tokens, theirs.tokens)
    for one, other in zip(ours.pictures, theirs.pictures, strict=True):
        assert np.abs(one.astype(int) - other.pixels).max() <= 1


def test_holes_of_nothing_and_of_everything(both):
    """Catches empty tables that a graph refuses."""
    pipe, runtime = both
    np.testing.assert_array_equal(runtime.fill(IMAGE, np.zeros_like(MASK)).pictures[0], IMAGE)
    everything = np.ones_like(MASK)
    np.testing.assert_array_equal(runtime.fill(IMAGE, everything).tokens, pipe(IMAGE, everything).tokens)


def test_torch_is_never_imported():
    """Catches an import that brings PyTorch back: a second of start-up, and a gigabyte to install."""
    _, folder = exported("prefix")
    code = (
        "import sys, numpy; from maskmend.runtime import Runtime\n"
        "mask = numpy.zeros((16, 16), bool); mask[3:9, 4:12] = True\n"
        f"Runtime({str(folder)!r}).fill(numpy.full((16, 16, 3), 99, numpy.uint8), mask)\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.integers(0, MAX_SEED), st.integers(0, 99), st.integers(0, 4095), st.sampled_from(noise.Stream))
def test_noise_is_bit_identical(seed, step, position, stream):
    """Catches another hash: every seed would mean another fill."""
    theirs = noise.uniform(torch.tensor([seed]), step, torch.tensor([position]), 9, stream=stream)
    ours = hashed.uniform(np.array([seed]), step, np.array([position]), 9, int(stream))
    np.testing.assert_array_equal(ours, theirs.numpy())


@given(st.sampled_from(SCHEDULES), st.integers(0, 300), st.integers(1, 30))
def test_plans_are_the_same(schedule, hole, steps):
    """Catches a schedule that was changed on one side only."""
    gamma = schedule_named(schedule)
    ours = sampling.mask_counts(hole, steps, gamma)
    assert ours == mask_counts(torch.tensor([hole]), steps, gamma)[0].tolist()


@pytest.mark.parametrize(("top_k", "top_p"), [(None, None), (4, None), (None, 0.6), (6, 0.9)])
def test_choices_are_the_same(top_k, top_p):
    """Catches restrictions in another order, or ties broken otherwise."""
    logits = torch.randn(200, 11, generator=torch.Generator().manual_seed(0)) * 3
    draw = noise.gumbel(torch.zeros(200, dtype=torch.long), 1, torch.arange(200), 11)
    theirs = sample(logits, draw, temperature=0.8, top_k=top_k, top_p=top_p)
    ours = sampling.sample(logits.numpy(), draw.numpy(), 0.8, top_k, top_p)
    np.testing.assert_array_equal(ours, theirs.numpy())


@given(st.integers(1, 20), st.integers(1, 20), st.floats(0, 1), st.integers(0, 99))
def test_infill_is_bit_identical(height, width, share, seed):
    """Catches sums in another order: known tokens beside the hole would differ."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(-1, 1, (3, height, width)).astype(np.float32)
    mask = rng.random((height, width)) < share
    theirs = infill(torch.from_numpy(image)[None], torch.from_numpy(mask)[None, None], "diffusion")
    np.testing.assert_array_equal(diffuse(image, mask), theirs[0].numpy())


@pytest.mark.usefixtures("unchecked")
def test_what_it_cannot_do_is_named(both, tmp_path):
    """Catches a setting that is ignored, and tracebacks from inside the graphs."""
    _, runtime = both
    for settings, message in (
        ({"order": "halton"}, "halton"),
        ({"seam": "feather"}, "hard or poisson"),
        ({"ring": 1}, "ring"),
        ({"stpes": 3}, "'stpes'"),
        ({"samples": 0}, "samples = 0"),
        ({"seed": -1}, "seed -1"),
        ({"choice": "sampel"}, "'sampel': choose one of 'sample', 'argmax'"),
        ({"confidence": "entropy"}, "'entropy': choose one of 'log_probability', 'probability'"),
    ):
        with pytest.raises(ConfigError, match=message):
            runtime.fill(IMAGE, MASK, **settings)
    with pytest.raises(ImageError, match="16"):
        runtime.fill(IMAGE[:8], MASK)
    with pytest.raises(ImageError, match="Image and ndarray: give NumPy arrays"):
        runtime.fill(Image.fromarray(IMAGE), MASK)
    with pytest.raises(MaskError, match="bool"):
        runtime.fill(IMAGE, MASK.astype(np.uint8))
    with pytest.raises(ModelError, match="export onnx"):
        Runtime(tmp_path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sweet_spot": 0}, "sweet_spot = 0: with steps = 8 give 1 to 8"),
        ({"sweet_spot": 99}, "sweet_spot = 99"),
        ({"sweet_spot": -1}, "sweet_spot = -1"),
        ({"top_k": 0}, "top_k = 0: give 1 or more"),
        ({"top_k": -3}, "top_k = -3"),
        ({"top_p": 0.0}, "top_p = 0.0: give a probability"),
        ({"top_p": math.nan}, "top_p = nan"),
        ({"top_p": 2.0}, "top_p = 2.0"),
        ({"steps": 2.5}, "steps = 2.5: give a whole number"),
        ({"steps": "8"}, "steps = '8': give a whole number"),
        ({"noise": -1.0}, "noise = -1.0: give a finite number"),
        ({"noise": math.nan}, "noise = nan"),
        ({"context": -1.0}, "context = -1.0"),
        ({"seed": 1.5}, "seed = 1.5: give a whole number"),
        ({"seed": True}, "seed = True: give a whole number"),
        ({"seed": 2**63}, f"seed {2**63} is out of range"),
        ({"seed": 2**63 - 1, "samples": 2}, f"from 0 to {2**63 - 2}, with 2 samples"),
        ({"samples": 1.5}, "samples = 1.5: give a whole number"),
    ],
    ids=str,
)
@pytest.mark.parametrize("mask", [MASK, np.zeros_like(MASK)], ids=["hole", "empty"])
@pytest.mark.usefixtures("unchecked")
def test_settings_are_refused_as_by_the_pipeline(both, settings, words, mask):
    """Catches what the pipeline refuses and the runtime fills with, otherwise than was meant, or ends in a
    TypeError; with an empty mask too, where nothing would be decoded."""
    pipe, runtime = both
    messages = []
    for fill in (runtime.fill, pipe):
        with pytest.raises(ConfigError, match=re.escape(words)) as caught:
            fill(IMAGE, mask, **settings)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_the_loop_alone_refuses_too():
    """Catches a check that only `Runtime.fill` makes."""
    tokens, hole = np.zeros(4, np.int64), np.ones(4, bool)
    for wrong, words in (
        ({"settings": Settings(order="halton")}, "PyTorch"),
        ({"seeds": [-1]}, "-1"),
    ):
        with pytest.raises(ConfigError, match=words):
            sampling.decode(
                lambda *_: pytest.fail("asked"), tokens, hole, mask_id=9, **{"seeds": [0]} | wrong
            )


@pytest.mark.usefixtures("unchecked")
def test_numbers_of_numpy_are_taken(both):
    """Catches `np.arange` giving seeds that overflow, and steps that are refused."""
    _, runtime = both
    ours = runtime.fill(IMAGE, MASK, seed=np.int32(300), samples=np.uint8(2), steps=np.int64(3))
    np.testing.assert_array_equal(ours.tokens, runtime.fill(IMAGE, MASK, seed=300, samples=2, steps=3).tokens)


@pytest.mark.usefixtures("unchecked")
def test_an_export_of_format_1_fills_alike(tmp_path):
    """Catches folders that were exported by an older version and are no longer read, or read as others."""
    _, folder = exported("prefix")
    before = Runtime(folder, threads=1).fill(IMAGE, MASK, seed=2)
    old = shutil.copytree(folder, tmp_path / "old")
    (old / "prefill.onnx").rename(old / "context.onnx")
    about = json.loads((old / "model.json").read_text())
    assert (about["format"], about["attention"]) == (2, "prefix")
    (old / "model.json").write_text(json.dumps(about | {"format": 1, "attention": "context"}))
    np.testing.assert_array_equal(Runtime(old, threads=1).fill(IMAGE, MASK, seed=2).tokens, before.tokens)
    for wrong, words in (
        (3, "format 3, this version reads up to 2: upgrade"),
        (None, "no export of maskmend"),
    ):
        (old / "model.json").write_text(json.dumps(about | {"format": wrong}))
        with pytest.raises(ModelError, match=words):
            Runtime(old)


def test_an_export_with_impossible_defaults_is_named(both):
    """Catches a damaged model.json whose defaults are blamed on the caller."""
    _, runtime = both
    kept = runtime.about
    try:
        runtime.about = {**kept, "defaults": {"steps": 0}}
        with pytest.raises(ModelError, match=r"steps = 0.*export it again"):
            runtime.fill(IMAGE, MASK)
    finally:
        runtime.about = kept
