"""Batches: made ahead, shared out among processes, coloured; tokens that recur."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_stage import same
from PIL import Image
from torch import Tensor

from maskmend.training import run as run_module
from maskmend.training.batches import Batches, to_float, vary_colour
from maskmend.training.dataset import ImageSet
from maskmend.training.stages.token_cache import TokenCache
from maskmend.training.stages.transformer import TransformerStage


def test_batches_made_ahead_are_the_batches_asked_for(make_recipe) -> None:
    """Would catch the picture thread running ahead or behind, and parts that lose a picture."""
    recipe = make_recipe("tokenizer", training={"accumulate": 2}, data={"crop_scale": 0.5, "colour": 0.2})
    images = ImageSet(recipe.data.train, 16)
    with Batches(images, recipe, 16, 0, 1) as ahead:
        taken = [ahead.take(step) for step in (0, 1, 2, 2, 7, 3)]
    for step, parts in zip((0, 1, 2, 2, 7, 3), taken, strict=True):
        with Batches(images, recipe, 16, 0, 1) as alone:
            assert same(parts, alone.take(step))
        assert [tuple(part.shape) for part in parts] == [(2, 3, 16, 16)] * 2
        assert all(part.min() >= -1 and part.max() <= 1 for part in parts)


def test_processes_share_out_the_batch(tmp_path: Path, make_recipe) -> None:
    """Would catch pictures seen by two processes, or by none."""
    for level in range(6):
        Image.new("RGB", (16, 16), (level, 0, 0)).save(tmp_path / f"{level}.png")
    images = ImageSet(tmp_path, 16)
    recipe = make_recipe("tokenizer", training={"batch": 6})

    def seen(rank: int, world: int) -> list[int]:
        with Batches(images, recipe, 16, rank, world) as batches:
            (part,) = batches.take(0)
        return ((part[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()

    shares = [seen(rank, 3) for rank in range(3)]
    assert [len(share) for share in shares] == [2, 2, 2]
    assert sorted(itertools.chain(*shares)) == sorted(seen(0, 1)) == list(range(6))


def test_to_float_spans_minus_one_to_one() -> None:
    """Would catch pictures in 0..255 or 0..1, and channels last."""
    picture = np.zeros((2, 3, 3), dtype=np.uint8)
    picture[..., 1], picture[..., 2] = 255, 51
    batch = to_float([picture])
    assert batch.shape == (1, 3, 2, 3)
    torch.testing.assert_close(batch[0, :, 0, 0], torch.tensor([-1.0, 1.0, -0.6]))


def test_colours_vary_within_the_range_and_by_seed(batch: Tensor) -> None:
    """Would catch pictures beyond [-1, 1], one change for the whole batch, and a seed that is ignored."""
    changed = vary_colour(batch, 0.5, np.random.default_rng(0))
    assert changed.min() >= -1
    assert changed.max() <= 1
    assert torch.equal(changed, vary_colour(batch, 0.5, np.random.default_rng(0)))
    assert not torch.equal(changed, vary_colour(batch, 0.5, np.random.default_rng(1)))
    twins = vary_colour(batch[:1].expand(2, -1, -1, -1) * 0.2, 0.1, np.random.default_rng(0))
    assert not torch.equal(twins[0], twins[1])
    torch.testing.assert_close(vary_colour(batch, 0.0, np.random.default_rng(0)), batch)


@pytest.mark.parametrize(
    ("shapes", "data"),
    [("square", {}), ("any", {}), ("square", {"colour": 0.1}), ("square", {"crop_scale": 0.8})],
)
def test_only_tokens_of_pictures_that_recur_are_cached(
    shapes: str, data: dict, tmp_path: Path, make_recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch random crops and colours that hardly ever recur filling the memory."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, width in enumerate([16, 16 if shapes == "square" else 19]):
        Image.new("RGB", (width, 16), (99, 60 * number, 7)).save(folder / f"{number}.png")
    recipe = make_recipe(
        "transformer", data={"train": str(folder)} | data, training={"steps": 1, "device": "cpu"}
    )
    caches: list[TokenCache] = []
    monkeypatch.setattr(TransformerStage, "use_cache", lambda stage, cache: caches.append(cache))
    assert run_module.run(recipe, tmp_path / "run").finished
    assert len(caches) == (shapes == "square" and not data)
