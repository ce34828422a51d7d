"""Stage 2: what the transformer is shown, what it is asked for, and that it learns."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from maskmend.errors import ConfigError, ModelError
from maskmend.images.infill import infill
from maskmend.training.masking import FAMILIES, Masks, draw_masks
from maskmend.training.recipe import Recipe
from maskmend.training.run import configured
from maskmend.training.stages.token_cache import TokenCache
from maskmend.training.stages.transformer import TRANSFORMERS, TransformerStage

CPU = torch.device("cpu")
CODES = 16


def build(recipe: Recipe) -> TransformerStage:
    torch.manual_seed(0)
    return TransformerStage(recipe, configured(TRANSFORMERS, recipe), CPU)


def only(**weights: float) -> dict[str, float]:
    return dict.fromkeys(FAMILIES, 0.0) | weights


def masks_of(stage: TransformerStage, count: int, seed: int) -> Masks:
    return draw_masks(np.random.default_rng(seed), count, 16, 4, stage.options)


def step(stage: TransformerStage, parts: list[Tensor], number: int = 0) -> dict[str, float]:
    figures = stage.train_step(parts, number, np.random.default_rng(number))
    return {name: float(value) for name, value in figures.items()}


@pytest.mark.parametrize("strategy", ["grey", "diffusion"])
@pytest.mark.parametrize("family", FAMILIES)
def test_inputs_are_known_filled_and_hidden(family: str, strategy: str, make_recipe, batch: Tensor) -> None:
    """Would catch known tokens of the whole picture, which inference never sees, filled tokens of the picture
    with the hole, and hidden ones that are shown."""
    stage = build(make_recipe("transformer", transformer=only(**{family: 1.0}) | {"infill": strategy}))
    masks = masks_of(stage, 4, seed=1)
    inputs, targets, hints = stage.examples(batch, masks, np.random.default_rng(0))
    whole = stage.tokenizer.encode(batch).flatten(1)
    filled_in = stage.tokenizer.encode(infill(batch, masks.pixels, strategy)).flatten(1)
    assert torch.equal(targets, whole)
    assert (inputs[masks.masked] == CODES).all()
    shown = masks.hole & ~masks.masked
    assert torch.equal(inputs[shown], whole[shown])
    assert torch.equal(inputs[~masks.hole], filled_in[~masks.hole])
    assert (inputs[~masks.masked] < CODES).all()
    assert torch.equal(hints.tokens, filled_in)
    missing = masks.pixels.view(4, 4, 4, 4, 4).float().mean((2, 4)).flatten(1)
    torch.testing.assert_close(hints.missing, missing)


def test_the_infill_reaches_known_tokens(make_recipe, batch: Tensor) -> None:
    """Would catch the test above passing because a hole changes no known token at all."""
    stage = build(make_recipe("transformer", transformer={"infill": "grey"}))
    pixels, hole = torch.zeros(4, 1, 16, 16, dtype=torch.bool), torch.zeros(4, 16, dtype=torch.bool)
    pixels[:, :, 5:7, 5:8] = True
    hole[:, 5] = True
    masks = Masks(pixels, hole, hole, torch.zeros(len(hole), dtype=torch.bool))
    inputs, targets, _ = stage.examples(batch, masks, np.random.default_rng(0))
    assert not torch.equal(inputs[~masks.hole], targets[~masks.hole])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("strategy", ["grey", "mean", "nearest", "diffusion"])
def test_the_content_of_the_hole_cannot_reach_the_input(
    family: str, strategy: str, make_recipe, batch: Tensor
) -> None:
    """Would catch training on what inference does not have: known tokens, hidden tokens and hints stay the
    same bits. Filled tokens are those of the whole picture, as decoding fills them in."""
    stage = build(make_recipe("transformer", transformer=only(**{family: 1.0}) | {"infill": strategy}))
    masks = masks_of(stage, 4, seed=1)
    other = torch.rand(batch.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    first, targets, hints = stage.examples(batch, masks, np.random.default_rng(0))
    second, others, other_hints = stage.examples(
        torch.where(masks.pixels, other, batch), masks, np.random.default_rng(0)
    )
    unfilled = ~masks.hole | masks.masked
    assert torch.equal(first[unfilled], second[unfilled])
    assert torch.equal(hints.tokens, other_hints.tokens)
    assert torch.equal(hints.missing, other_hints.missing)
    assert not torch.equal(targets, others)


@pytest.mark.parametrize("loss_on", ["masked", "all"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_smoothed_cross_entropy_on_the_wanted_tokens(
    loss_on: str, smoothing: float, make_recipe, batch: Tensor
) -> None:
    """Would catch loss on tokens that are given, on none, or label smoothing by another formula."""
    recipe = make_recipe(
        "transformer",
        model={"dropout": 0.0},
        transformer=only(random_walk=1.0) | {"loss_on": loss_on, "label_smoothing": smoothing},
    )
    stage = build(recipe)
    model = copy.deepcopy(stage.model)
    rng = np.random.default_rng(3)
    rng.integers(2**62)  # the seed of dropout comes first
    masks = draw_masks(rng, 4, 16, 4, stage.options)
    inputs, targets, hints = stage.examples(batch, masks, np.random.default_rng(0))
    with torch.no_grad():
        log_p = model(inputs, masks.hole, None, hints).view(4, 16, CODES).log_softmax(-1)
    own = -log_p.gather(2, targets[..., None])[..., 0]
    smoothed = (1 - smoothing) * own - smoothing * log_p.mean(-1)
    wanted = masks.masked if loss_on == "masked" else torch.ones_like(masks.masked)
    figures = step(stage, [batch], 3)
    assert figures["loss"] == pytest.approx(float(smoothed[wanted].mean()), rel=1e-4)
    right = (log_p.argmax(-1) == targets)[wanted].float().mean()
    assert figures["accuracy"] == pytest.approx(float(right), abs=1e-6)


@pytest.mark.parametrize("infilled", [None, False, True])
def test_a_cache_encodes_unchanged_pictures_once(
    infilled: bool | None, make_recipe, batch: Tensor, monkeypatch
) -> None:
    """Would catch pictures encoded again in every epoch, cached ones mixed up, and a cache that fills with
    pictures that do not recur: those with holes. Would also catch cached ones encoded in batches, whose
    size (and with it the last bits) depends on what is in the cache."""
    stage = build(make_recipe("transformer", transformer=only(boxes=1.0)))
    cache = TokenCache(infilled=bool(infilled))
    if infilled is not None:
        stage.use_cache(cache)
    encoded = []
    encode = stage.tokenizer.encode

    def watched(images):
        encoded.append(len(images))
        return encode(images)

    monkeypatch.setattr(stage.tokenizer, "encode", watched)
    masks = masks_of(stage, 4, seed=1)
    _, first, _ = stage.examples(batch, masks, np.random.default_rng(0))
    other = torch.cat([batch[2:], -batch[:2]])
    _, second, _ = stage.examples(other, masks, np.random.default_rng(0))
    monkeypatch.undo()
    assert torch.equal(first, stage.tokenizer.encode(batch).flatten(1))
    assert torch.equal(second, stage.tokenizer.encode(other).flatten(1))
    assert second.dtype == torch.int64
    assert encoded == {None: [4, 4, 4, 4], False: [1, 1, 1, 1, 4, 1, 1, 4], True: [1] * 14}[infilled]
    assert len(cache) == {None: 0, False: 6, True: 14}[infilled]


def test_a_full_cache_takes_no_more(batch: Tensor) -> None:
    """Would catch memory that grows with the data set."""
    cache = TokenCache(limit=2)
    for images in (batch[:2], batch):
        tokens = cache.encode(images, lambda some: some.mean((2, 3)).mul(1000).long())
        assert torch.equal(tokens, images.mean((2, 3)).mul(1000).long())
    assert len(cache) == 2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_overfits_a_tiny_batch(make_recipe, batch: Tensor, precision: str) -> None:
    """Would catch inputs and targets that do not belong together, and gradients that do not arrive."""
    recipe = make_recipe(
        "transformer",
        model={"dropout": 0.0, "dim": 32},
        training={"ema": 0.9, "precision": precision},
        # Enough is visible to tell the two pictures apart: nothing is left to guess.
        transformer=only(bernoulli=1.0) | {"label_smoothing": 0.0},
    )
    stage = build(recipe)
    for group in stage.optimizers[0].param_groups:
        group["lr"] = 6e-3
    twelve = batch[:2].repeat(6, 1, 1, 1)  # the same two under twelve masks
    losses = [step(stage, [twelve], number)["loss"] for number in range(60)]
    assert losses[0] == pytest.approx(math.log(CODES), abs=0.6)
    assert np.mean(losses[-10:]) < 0.2
    assert stage.validate([batch[:2]])["accuracy"] > 0.9


def test_parts_are_averaged(make_recipe, batch: Tensor) -> None:
    """Would catch a gradient that grows with the number of parts. Parts draw masks of their own and each
    takes the mean over its own hidden tokens, so equal losses in parts and whole are not to be had; the
    scale is."""
    recipe = make_recipe("transformer", training={"clip": 1e9}, transformer=only(bernoulli=1.0))
    whole = step(build(recipe), [batch])
    parts = step(build(recipe), list(batch.chunk(4)))
    assert parts["loss"] == pytest.approx(whole["loss"], rel=0.2)
    assert parts["gradient"] < 2 * whole["gradient"]


def test_tokenizer_is_frozen(make_recipe, batch: Tensor) -> None:
    """Would catch tokens that drift away from those the transformer was trained on."""
    stage = build(make_recipe("transformer"))
    before = copy.deepcopy(stage.tokenizer.state_dict())
    step(stage, [batch])
    assert not any(p.requires_grad or p.grad is not None for p in stage.tokenizer.parameters())
    assert all(torch.equal(before[name], value) for name, value in stage.tokenizer.state_dict().items())


def test_replaced_tokens_are_visible_ones_and_codes(make_recipe, batch: Tensor) -> None:
    """Would catch hidden tokens revealed by the noise, and the mask token put in as noise."""
    stage = build(make_recipe("transformer", transformer=only(scheduled=1.0) | {"replace": 1.0}))
    seen: list[Tensor] = []
    stage.model.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    rng = np.random.default_rng(0)
    rng.integers(2**62)
    masks = draw_masks(rng, 4, 16, 4, stage.options)
    step(stage, [batch])
    _, targets, _ = stage.examples(batch, masks, np.random.default_rng(0))
    assert (seen[0][masks.masked] == CODES).all()
    visible = seen[0][~masks.masked]
    assert visible.max() < CODES
    assert (visible != targets[~masks.masked]).float().mean() > 0.6


def test_validation_repeats_and_ignores_smoothing(make_recipe, batch: Tensor) -> None:
    """Would catch best checkpoints picked by lucky masks, and losses that cannot be compared between
    recipes."""
    smooth, sharp = (
        build(make_recipe("transformer", transformer={"label_smoothing": value})) for value in (0.3, 0.0)
    )
    figures = smooth.validate([batch, batch[:2]])
    assert figures == smooth.validate([batch, batch[:2]])
    assert figures == sharp.validate([batch, batch[:2]])
    assert not smooth.ema.module.training


def test_bf16_keeps_losses_and_averages_in_float32(make_recipe, batch: Tensor) -> None:
    """Would catch half-precision logits in the loss, and averages kept in half precision."""
    stage = build(make_recipe("transformer", training={"precision": "bf16"}))
    loss = step(stage, [batch])["loss"]
    assert loss != float(torch.tensor(loss).bfloat16())  # it has more digits than bf16 holds
    assert all(p.dtype == torch.float32 for p in stage.ema.module.parameters())


def test_pictures_show_original_hole_and_fill(make_recipe, batch: Tensor) -> None:
    """Would catch a grid that differs each time it is drawn, so that progress cannot be seen."""
    stage = build(make_recipe("transformer"))
    first, second = (np.asarray(stage.pictures(batch)) for _ in range(2))
    assert first.shape[0] == 3 * 2 * 16
    assert first.shape[1] > 4 * 2 * 16  # the names of the rows
    assert (first == second).all()


@pytest.mark.parametrize("change", [{"codes": 8}, {"grid": 8}])
def test_transformer_of_another_tokenizer_is_refused(change: dict[str, int], make_recipe) -> None:
    """Would catch an index error on the device, or positions that do not exist."""
    with pytest.raises(ConfigError, match=r"model\.codes and model\.grid"):
        build(make_recipe("transformer", model=change))


def test_missing_tokenizer_is_one_line(make_recipe, tmp_path: Path) -> None:
    """Would catch a traceback when stage 2 is started before stage 1 has exported anything."""
    with pytest.raises(ModelError) as caught:
        build(make_recipe("transformer", transformer={"tokenizer": str(tmp_path / "nowhere")}))
    assert "nowhere" in str(caught.value)
    assert "\n" not in str(caught.value)
