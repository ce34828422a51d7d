"""What all stages share: a step is handed to the device and nobody waits for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from maskmend.errors import ConfigError
from maskmend.models.transformer import MaskedTransformer
from maskmend.pretrained.component import save_transformer
from maskmend.training.run import build_stage, configured
from maskmend.training.stages.stage import picture_grid
from maskmend.training.stages.transformer import TRANSFORMERS

STAGES = {
    "tokenizer": {"tokenizer": {"adversarial": 0.5, "adversarial_start": 0}},
    "transformer": {"transformer": {"replace": 0.2, "bernoulli": 0.3}},
    "transformer, all tokens": {"transformer": {"loss_on": "all"}, "data": {"colour": 0.1}},
    "decoder": {"decoder": {"adversarial": 0.5, "adversarial_start": 0, "discriminator_channels": 8}},
}


class NoAutocast(torch.autocast):
    """The meta device knows none."""

    def __init__(self, *_: object, **__: object) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


@pytest.fixture(params=STAGES)
def recipe(request, make_recipe, tmp_path: Path):
    kind = request.param.split(",")[0]
    recipe = make_recipe(kind, **STAGES[request.param])
    if kind != "decoder":
        return recipe
    shape = configured(TRANSFORMERS, make_recipe("transformer"))
    save_transformer(MaskedTransformer(shape).eval(), tmp_path / "transformer")
    return make_recipe(kind, decoder=STAGES[kind]["decoder"] | {"transformer": str(tmp_path / "transformer")})


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
def test_a_step_asks_for_no_value(recipe, batch: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch a step that makes an accelerator wait: PyTorch's meta device has no values at all, so that
    whatever asks for one, or for how many there are, fails."""
    monkeypatch.setattr(torch, "autocast", NoAutocast)
    real = torch.optim.AdamW
    monkeypatch.setattr(
        torch.optim, "AdamW", lambda *given, fused, **named: real(*given, **named, foreach=True)
    )
    stage = build_stage(recipe, torch.device("meta"))
    for step in range(2):
        figures = stage.train_step(list(batch.chunk(2)), step, np.random.default_rng(step))
        assert all(value.is_meta for value in figures.values())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_step_does_not_wait_for_cuda(recipe, batch: Tensor) -> None:
    """Would catch what the test above cannot: a copy to the device that waits for it."""
    stage = build_stage(recipe, torch.device("cuda"))
    parts = list(batch.chunk(2))
    stage.train_step(parts, 0, np.random.default_rng(0))  # libraries load
    torch.cuda.set_sync_debug_mode("error")
    try:
        stage.train_step(parts, 1, np.random.default_rng(1))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_rows_of_a_grid_are_named() -> None:
    """Would catch a grid of which nobody knows what is the original and what was made of it."""
    grey = torch.zeros(3, 3, 16, 16)
    grid = np.asarray(picture_grid({"original": grey, "a much longer name": grey - 1}))
    margin = grid.shape[1] - 3 * 16 * 2
    assert grid.shape[0] == 2 * 16 * 2
    assert (grid[:32, margin:] == 128).all()
    assert (grid[32:, margin:] == 0).all()
    for row in (grid[:32, :margin], grid[32:, :margin]):
        assert row.min() < 100 < row.max()  # letters on white
    assert (grid[:, 0] == 255).all()


def test_a_transformer_follows_its_tokenizer(make_recipe) -> None:
    """Would catch a transformer that is refused, after its tokenizer took hours, over what it could know."""
    recipe = make_recipe("transformer")
    size = {"codes": recipe.model["codes"], "grid": recipe.model["grid"]}
    free = replace(recipe, model={k: v for k, v in recipe.model.items() if k not in size})
    stage = build_stage(free, torch.device("cpu"))
    assert {"codes": stage.config.codes, "grid": stage.config.grid} == size
    with pytest.raises(ConfigError, match=r"set model\.codes and model\.grid"):
        build_stage(replace(recipe, model=recipe.model | {"grid": 8}), torch.device("cpu"))
