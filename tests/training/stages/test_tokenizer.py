"""Stage 1: one backward pass instead of two gives the textbook's weight and gradient, and it learns."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fakes import FakePerceptual
from maskmend.errors import ConfigError
from maskmend.perceptual.lpips import Lpips
from maskmend.training.recipe import Recipe
from maskmend.training.run import TOKENIZERS, configured
from maskmend.training.stages.tokenizer import TokenizerStage

CPU = torch.device("cpu")


def apart(a: Tensor, b: Tensor) -> Tensor:
    return FakePerceptual().feature_distance(FakePerceptual().features(a), FakePerceptual().features(b))


def build(recipe: Recipe, perceptual: FakePerceptual | None = None) -> TokenizerStage:
    """A stage whose codebook has started, so that the forward pass draws nothing any more."""
    torch.manual_seed(0)
    stage = TokenizerStage(recipe, configured(TOKENIZERS, recipe), CPU, perceptual or FakePerceptual())
    stage.model.quantizer.initialised = True
    with torch.no_grad():
        stage.model.quantizer.codebook.normal_()
    return stage


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[Tensor]]]:
    """The gradients that each optimizer step is given."""
    seen: list[list[Tensor]] = []

    def step(self: torch.optim.Optimizer) -> None:
        seen.append(
            [p.grad.clone() for group in self.param_groups for p in group["params"] if p.grad is not None]
        )

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    return seen


def step(stage: TokenizerStage, parts: list[Tensor], number: int = 0) -> dict[str, float]:
    figures = stage.train_step(parts, number, np.random.default_rng(number))
    return {name: float(value) for name, value in figures.items()}


ADVERSARIAL: dict[str, Any] = {
    "training": {"clip": 1e9, "precision": "fp32"},
    "tokenizer": {"perceptual": 2.0, "adversarial": 0.7, "adversarial_start": 0, "adversarial_ramp": 4},
}


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_adaptive_weight_and_gradient_are_the_textbooks(
    update: str, make_recipe, batch: Tensor, captured: list[list[Tensor]]
) -> None:
    """Would catch a weight from the wrong losses or layer, and a gradient that is not the summed loss's."""
    recipe = make_recipe("tokenizer", **ADVERSARIAL, model={"quantizer": {"update": update}})
    stage = build(recipe)
    model, discriminator = (
        copy.deepcopy(stage.model).train(),
        stage.image_loss.discriminators["discriminator"],
    )

    fake, quantized = model(batch)
    reconstruction = F.l1_loss(fake, batch) + 2.0 * apart(fake, batch).mean()
    adversarial = -discriminator(fake).mean()
    last = model.decoder.conv_out.weight
    (by_rec,) = torch.autograd.grad(reconstruction, last, retain_graph=True)
    (by_adv,) = torch.autograd.grad(adversarial, last, retain_graph=True)
    weight = (by_rec.norm() / (by_adv.norm() + 1e-4)).clamp(0, 1e4)
    ramp = 2 / 4
    total = reconstruction + quantized.loss + ramp * 0.7 * weight.detach() * adversarial
    total.backward()
    wanted = [p.grad for group in (2, 1) for p in model.parameters() if (p.ndim >= 2) == (group == 2)]

    figures = step(stage, [batch], number=1)
    assert figures["adaptive_weight"] == pytest.approx(weight.item(), rel=1e-4)
    assert figures["reconstruction"] == pytest.approx(reconstruction.item(), rel=1e-5)
    assert figures["adversarial"] == pytest.approx(adversarial.item(), rel=1e-4)
    assert figures["loss"] == pytest.approx((reconstruction + quantized.loss).item(), rel=1e-5)
    assert len(captured[0]) == len(wanted) > 20
    for got, want in zip(captured[0], wanted, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-6)


def test_discriminator_learns_from_its_own_loss_alone(
    make_recipe, batch: Tensor, captured: list[list[Tensor]]
) -> None:
    """Would catch the generator's loss leaking into the discriminator's gradient, or the reverse."""
    stage = build(make_recipe("tokenizer", **ADVERSARIAL))
    discriminator = copy.deepcopy(stage.image_loss.discriminators["discriminator"])
    fake = copy.deepcopy(stage.model).train()(batch)[0].detach()
    real, generated = discriminator(batch), discriminator(fake)
    loss = 0.5 * (torch.relu(1 - real).mean() + torch.relu(1 + generated).mean())
    loss.backward()
    figures = step(stage, [batch])
    assert figures["discriminator"] == pytest.approx(loss.item(), rel=1e-4)
    norm = torch.cat([p.grad.flatten() for p in discriminator.parameters()]).norm()
    assert figures["discriminator_gradient"] == pytest.approx(norm.item(), rel=1e-3)
    assert stage.model.training
    assert all(
        p.grad is None
        for p in [*stage.model.parameters(), *stage.image_loss.discriminators["discriminator"].parameters()]
    )


def test_the_feature_discriminator_has_a_gradient_and_is_updated(
    make_recipe, batch: Tensor, captured: list[list[Tensor]]
) -> None:
    """Would catch a weight or a gradient that is not the textbook's, and a discriminator whose inputs are
    others than those in the generator's loss."""
    options = {"perceptual": 2.0, "feature_adversarial": 0.5, "adversarial": 0.0, "adversarial_ramp": 1}
    recipe = make_recipe(
        "tokenizer", training=ADVERSARIAL["training"], tokenizer=options | {"adversarial_start": 0}
    )
    stage = build(recipe)
    model, discriminator = (
        copy.deepcopy(stage.model).train(),
        copy.deepcopy(stage.image_loss.discriminators["feature_discriminator"]),
    )
    fake, _ = model(batch)
    reconstruction = F.l1_loss(fake, batch) + 2.0 * apart(fake, batch).mean()
    seen = FakePerceptual().features(fake)
    adversarial = torch.stack([-verdict.mean() for verdict in discriminator(seen)]).mean()
    last = model.decoder.conv_out.weight
    (by_rec,) = torch.autograd.grad(reconstruction, last, retain_graph=True)
    (by_adv,) = torch.autograd.grad(adversarial, last, retain_graph=True)
    weight = by_rec.norm() / (by_adv.norm() + 1e-4)
    (wanted,) = torch.autograd.grad(reconstruction + 0.5 * weight * adversarial, last)
    true = FakePerceptual().features(batch)
    verdicts = zip(discriminator(true), discriminator([tap.detach() for tap in seen]), strict=True)
    halves = [torch.relu(1 - real).mean() + torch.relu(1 + drawn).mean() for real, drawn in verdicts]
    loss = 0.5 * torch.stack(halves).mean()

    figures = step(stage, [batch])
    assert figures["feature_adaptive_weight"] == pytest.approx(weight.item(), rel=1e-3)
    assert figures["feature_adversarial"] == pytest.approx(adversarial.item(), rel=1e-3, abs=1e-6)
    assert figures["feature_discriminator"] == pytest.approx(loss.item(), rel=1e-4)
    assert any(g.shape == wanted.shape and torch.allclose(g, wanted, rtol=1e-3) for g in captured[0])
    assert not stage.image_loss.d_losses


def test_the_feature_discriminator_needs_the_perceptual_network(make_recipe) -> None:
    """Would catch a recipe whose second discriminator has no features, refused hours later or never."""
    with pytest.raises(ConfigError, match=r"feature_adversarial = 0\.5 needs the perceptual network"):
        make_recipe("tokenizer", tokenizer={"feature_adversarial": 0.5, "perceptual": 0.0})


def test_parts_add_up_to_the_whole_batch(make_recipe, batch: Tensor, captured: list[list[Tensor]]) -> None:
    """Would catch parts summed instead of averaged. It holds with the codebook learning by gradient and
    without adversary: the moving average of the codes moves once for each part, and so does the adaptive
    weight."""
    recipe = make_recipe(
        "tokenizer",
        training={"clip": 1e9},
        model={"quantizer": {"update": "gradient"}},
        tokenizer={"perceptual": 2.0, "adversarial": 0.0},
    )
    stage = build(recipe)
    whole = step(stage, [batch])
    parts = step(stage, list(batch.chunk(4)))
    for name in ("loss", "l1", "lpips", "quantizer", "gradient"):
        assert parts[name] == pytest.approx(whole[name], rel=1e-4)
    for a, b in zip(captured[0], captured[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_discriminator_starts_at_its_step(make_recipe, batch: Tensor) -> None:
    """Would catch an adversary that disturbs the young autoencoder, and one that never comes."""
    stage = build(make_recipe("tokenizer", tokenizer={"adversarial_start": 2, "adversarial": 1.0}))
    discriminator = stage.image_loss.discriminators["discriminator"]
    before = copy.deepcopy(discriminator.state_dict())

    def moved() -> bool:
        now = discriminator.state_dict()
        return not all(torch.equal(before[name], now[name]) for name in before)

    for number in (0, 1):
        assert "adversarial" not in step(stage, [batch], number)
        assert not moved()
    assert {"adversarial", "discriminator", "adaptive_weight"} <= step(stage, [batch], 2).keys()
    assert moved()


def test_adversarial_zero_has_no_discriminator(make_recipe, batch: Tensor) -> None:
    """Would catch a discriminator that costs time and memory for nothing."""
    stage = build(make_recipe("tokenizer", tokenizer={"adversarial": 0.0, "adversarial_start": 0}))
    assert not stage.image_loss.discriminators
    assert len(stage.optimizers) == 1
    assert "adversarial" not in step(stage, [batch])
    assert "discriminator" not in stage.state()


def test_quantization_starts_at_its_step(make_recipe, batch: Tensor) -> None:
    """Would catch a codebook that settles on the latents of an untrained encoder."""
    recipe = make_recipe("tokenizer", tokenizer={"quantize_from": 2})
    stage = TokenizerStage(recipe, configured(TOKENIZERS, recipe), CPU, None)
    for number in (0, 1):
        assert step(stage, [batch], number)["quantizer"] == 0
        assert not bool(stage.model.quantizer.initialised)
    assert step(stage, [batch], 2)["quantizer"] > 0
    assert bool(stage.model.quantizer.initialised)


@pytest.mark.parametrize(("share", "seen"), [(1.0, 4), (0.5, 2), (0.01, 1)])
def test_perceptual_share_takes_part_of_the_batch(
    share: float, seen: int, make_recipe, batch: Tensor
) -> None:
    """Would catch the whole batch paid for, and no picture at all where the share is small."""
    recipe = make_recipe("tokenizer", tokenizer={"perceptual": 1.0, "perceptual_share": share})
    counts: list[int] = []

    class Counting(FakePerceptual):
        def features(self, images: Tensor) -> list[Tensor]:
            counts.append(len(images))
            return super().features(images)

    step(build(recipe, Counting()), [batch])
    assert counts == [seen, seen]  # the drawn ones, the true ones


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_loss_goes_down_on_two_pictures(precision: str, make_recipe, batch: Tensor) -> None:
    """Would catch any sign or gradient that is wrong enough to keep it from learning, also in half
    precision."""
    recipe = make_recipe(
        "tokenizer", training={"lr": 5e-3, "precision": precision}, tokenizer={"adversarial_start": 20}
    )
    torch.manual_seed(0)
    stage = TokenizerStage(recipe, configured(TOKENIZERS, recipe), CPU, None)
    stage.optimizers[0].param_groups[0]["lr"] = stage.optimizers[0].param_groups[1]["lr"] = 5e-3
    losses = [step(stage, [batch[:2]], number)["l1"] for number in range(30)]
    assert np.mean(losses[-3:]) < 0.6 * losses[0]
    assert stage.validate([batch[:2]])["l1"] < 0.8 * losses[0]


def test_validation_does_not_depend_on_its_batches(make_recipe, batch: Tensor) -> None:
    """Would catch a mean of means over batches of different sizes, and figures of the raw weights."""
    stage = build(make_recipe("tokenizer", tokenizer={"perceptual": 2.0}))
    whole = stage.validate([batch])
    split = stage.validate([batch[:3], batch[3:]])
    assert whole == pytest.approx(split, rel=1e-5)
    assert whole["loss"] == pytest.approx(whole["l1"] + 2.0 * whole["lpips"], rel=1e-6)
    assert {"psnr", "codebook_used", "perplexity"} <= whole.keys()
    blind = TokenizerStage(make_recipe("tokenizer"), stage.config, CPU, None)
    assert "lpips" not in blind.validate([batch])  # not 0: nothing was measured
    with torch.no_grad():
        for parameter in stage.model.parameters():
            parameter.add_(1)
    assert stage.validate([batch]) == whole


def test_pictures_show_originals_above_reconstructions(make_recipe, batch: Tensor) -> None:
    """Would catch a grid without the pictures it compares."""
    grid = np.asarray(build(make_recipe("tokenizer")).pictures(batch))
    assert grid.shape[0] == 2 * 2 * 16
    grid = grid[:, -4 * 2 * 16 :]  # without the names of the rows
    shown = torch.from_numpy(grid[:32:2, :32:2].copy()).permute(2, 0, 1).float() / 127.5 - 1
    torch.testing.assert_close(shown, batch[0], atol=0.01, rtol=0)


def test_a_discriminator_too_deep_for_the_pictures_is_refused_at_once(make_recipe) -> None:
    """Would catch a run that ends hours later, at the step where the discriminator begins."""
    deep = make_recipe("tokenizer", tokenizer={"discriminator_layers": 6})
    with pytest.raises(ConfigError, match="discriminator_layers = 6 see larger patches"):
        build(deep)


def test_pictures_too_small_for_the_feature_discriminator_are_refused_at_once(make_recipe) -> None:
    """Would catch a run that ends hours later, at the step where that discriminator begins."""
    recipe = make_recipe(
        "tokenizer", tokenizer={"perceptual": 1.0, "feature_adversarial": 1.0, "adversarial": 0.0}
    )
    with pytest.raises(ConfigError, match="pictures of 16 pixels are too small"):
        TokenizerStage(recipe, configured(TOKENIZERS, recipe), CPU, Lpips("vgg16"))
