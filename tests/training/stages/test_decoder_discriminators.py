"""Discriminators and classifier in the decoder's training: they see the composite and learn in order."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from fakes import FakePerceptual
from maskmend.errors import ConfigError
from maskmend.perceptual.efficientnet import EfficientNet
from maskmend.training import checkpoint
from maskmend.training.recipe import Recipe
from maskmend.training.run import build_stage, run
from maskmend.training.stages.decoder import DecoderStage

CPU = torch.device("cpu")


def built(recipe: Recipe) -> DecoderStage:
    stage = build_stage(recipe, CPU)
    assert isinstance(stage, DecoderStage)
    return stage


def test_the_adversary_sees_the_composite(make_recipe, batch: Tensor) -> None:
    """Would catch a push at known pixels, where the discriminator looks at the truth."""
    stage = built(make_recipe("decoder", decoder={"adversarial": 1.0, "adversarial_start": 0}))
    mask = torch.zeros(4, 1, 16, 16, dtype=torch.bool)
    mask[:, :, :, :8] = True
    last = torch.ones((), requires_grad=True)
    same = batch.clone().requires_grad_()
    gradient, figures = stage.image_loss.gradient(batch, same * last + 0.3 * mask, last, 0, mask)
    assert float(figures["adaptive_weight"]) > 0
    assert not bool(gradient[:, :, :, 8:].any())
    assert bool(gradient[:, :, :, :8].any())


def test_discriminators_see_the_composite(make_recipe, batch: Tensor) -> None:
    """Would catch a push at known pixels or at pictures without a perceptual distance, pushes that replace
    each other instead of adding up, and figures that keep a graph alive."""
    options = {"perceptual": 1.0, "perceptual_share": 0.5, "adversarial_start": 0, "adversarial_ramp": 1}
    mask = torch.zeros(4, 1, 16, 16, dtype=torch.bool)
    mask[:, :, :, :8] = True
    last = torch.ones((), requires_grad=True)
    same = batch.clone().requires_grad_()
    gradients = {}
    for pixels, features in ((0.0, 0.0), (0.7, 0.0), (0.0, 0.7), (0.7, 0.7)):
        weights = {"adversarial": pixels, "feature_adversarial": features}
        torch.manual_seed(0)
        stage = DecoderStage(make_recipe("decoder", decoder=options | weights), CPU, FakePerceptual())
        torch.manual_seed(0)
        for discriminator in stage.image_loss.discriminators.values():
            for weight in discriminator.parameters():
                torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(weight.numel()))
        drawn = same * last + 0.3 * mask * torch.linspace(-1, 1, 16)
        gradients[pixels, features], figures = stage.image_loss.gradient(batch, drawn, last, 0, mask)
        assert not any(figure.requires_grad for figure in figures.values())
        assert len(stage.image_loss.update_discriminators(0)) == 2 * len(stage.image_loss.discriminators)
    rest = gradients[0.0, 0.0]
    by_features = gradients[0.0, 0.7] - rest
    assert not bool(by_features[:, :, :, 8:].any())
    assert not bool(by_features[2:].any())
    assert bool(by_features[:2].any())
    torch.testing.assert_close(gradients[0.7, 0.7], gradients[0.7, 0.0] + by_features)


def test_the_classifier_has_a_distance_and_a_discriminator(make_recipe, batch: Tensor) -> None:
    """Would catch a classifier that is loaded and not looked through, a distance with another's weight, a
    look at the first pictures only, and a push at known pixels."""
    options = {"perceptual": 1.0, "perceptual_share": 0.5, "adversarial": 0.0, "adversarial_start": 0}
    options |= {"adversarial_ramp": 1}
    mask = torch.zeros(4, 1, 16, 16, dtype=torch.bool)
    mask[:, :, :, :8] = True
    last = torch.ones((), requires_grad=True)
    gradients = {}
    for distance, judged in ((0.0, 0.0), (3.0, 0.0), (3.0, 0.7)):
        weights = {"classifier": distance, "classifier_adversarial": judged}
        torch.manual_seed(0)
        recipe = make_recipe("decoder", decoder=options | weights)
        stage = DecoderStage(recipe, CPU, FakePerceptual(), FakePerceptual())
        assert list(stage.image_loss.discriminators) == (["classifier_discriminator"] if judged else [])
        drawn = (batch * last + 0.3 * mask * torch.linspace(-1, 1, 16)).requires_grad_()
        gradients[distance, judged], figures = stage.image_loss.gradient(batch, drawn, last, 0, mask)
    seen = torch.where(mask, drawn.detach(), batch).requires_grad_()
    fake = FakePerceptual()
    apart = 3.0 * fake.feature_distance(fake.features(seen), fake.features(batch)).mean()
    (wanted,) = torch.autograd.grad(apart, seen)
    torch.testing.assert_close(gradients[3.0, 0.0] - gradients[0.0, 0.0], torch.where(mask, wanted, 0))
    assert float(figures["classifier_distance"]) == pytest.approx(apart.item() / 3, rel=1e-5)
    judged = gradients[3.0, 0.7] - gradients[3.0, 0.0]
    assert not bool(judged[:, :, :, 8:].any())
    assert all(bool(push.any()) for push in judged)


def test_a_recipe_gets_the_classifier_it_names(make_recipe, tmp_path: Path) -> None:
    """Would catch a setting that reaches no network, and one that is loaded where nothing asks for it."""
    file = tmp_path / "classifier.safetensors"
    save_file({name: t.contiguous() for name, t in EfficientNet().state_dict().items()}, file)
    for stage in ("decoder", "tokenizer"):
        asked = {"perceptual": 0.0, "classifier": 0.5, "classifier_weights": str(file)}
        image_loss = build_stage(make_recipe(stage, **{stage: asked}), CPU).image_loss
        assert image_loss.feature_losses["classifier"].distance == 0.5
        plain = build_stage(make_recipe(stage, **{stage: asked | {"classifier": 0.0}}), CPU).image_loss
        assert not plain.feature_losses


def test_without_lpips_none_is_told(make_recipe, batch: Tensor) -> None:
    """Would catch a distance of 0, as if the pictures were the true ones, where nothing was measured."""
    assert "lpips" not in built(make_recipe("decoder")).validate([batch])
    seen = make_recipe("decoder", decoder={"perceptual": 1.0})
    assert DecoderStage(seen, CPU, FakePerceptual()).validate([batch])["lpips"] > 0


def test_discriminators_of_another_run_are_loaded(make_recipe, tmp_path: Path) -> None:
    """Would catch fresh discriminators, and a run without them that is refused hours later or never."""
    base = {"adversarial": 1.0, "adversarial_start": 0}
    first = make_recipe("decoder", training={"steps": 2}, decoder=base)
    assert run(first, tmp_path / "first").finished
    kept = checkpoint.read(tmp_path / "first" / "last.pt")["stage"]["discriminator"]
    image_loss = built(
        make_recipe("decoder", decoder=base | {"discriminators": str(tmp_path / "first")})
    ).image_loss
    own = image_loss.discriminators["discriminator"].state_dict()
    assert all(torch.equal(own[name], kept[name]) for name in kept)
    for options, said in (
        ({"discriminators": str(tmp_path / "none")}, "no run folder with a last.pt"),
        ({"discriminators": str(tmp_path / "first"), "adversarial": 0.0}, "no discriminator in common"),
        ({"discriminators": str(tmp_path / "first"), "discriminator_channels": 16}, "has another shape"),
    ):
        with pytest.raises(ConfigError, match=said):
            built(make_recipe("decoder", decoder=base | options))


def test_first_the_discriminators_alone_learn(make_recipe, tmp_path: Path) -> None:
    """Would catch a trained decoder that new discriminators mislead, and one that never learns after."""
    options = {"adversarial": 1.0, "adversarial_start": 0, "discriminator_warmup": 2}

    def states(steps: int) -> dict[str, Any]:
        recipe = make_recipe("decoder", training={"steps": steps}, decoder=options)
        assert run(recipe, tmp_path / str(steps)).finished
        return checkpoint.read(tmp_path / str(steps) / "last.pt")["stage"]

    start = built(make_recipe("decoder", decoder=options))
    held, trained = states(2), states(3)
    before = {f"decoder.{name}": weight for name, weight in start.model.decoder.state_dict().items()}
    assert all(torch.equal(held["model"][name], weight) for name, weight in before.items())
    assert any(not torch.equal(trained["model"][name], weight) for name, weight in before.items())
    first = start.image_loss.discriminators["discriminator"].state_dict()
    assert any(not torch.equal(held["discriminator"][name], weight) for name, weight in first.items())


def test_micro_batches_update_discriminators_as_one_batch(make_recipe, batch: Tensor) -> None:
    """Would catch parts summed instead of averaged, and a gradient that is used twice."""
    options = {"perceptual": 1.0, "feature_adversarial": 1.0, "adversarial": 1.0, "adversarial_start": 0}
    taught = []
    for parts in (1, 2):
        torch.manual_seed(0)
        stage = DecoderStage(make_recipe("decoder", decoder=options), CPU, FakePerceptual())
        last = torch.ones((), requires_grad=True)
        for part in batch.chunk(parts):
            fake = (part + 0.2).requires_grad_()
            stage.image_loss.gradient(part, fake * last, last, 0)
        figures = stage.image_loss.update_discriminators(0)
        taught.append({name: float(value) for name, value in figures.items()})
        assert not stage.image_loss.d_losses
        assert all(
            w.grad is None
            for discriminator in stage.image_loss.discriminators.values()
            for w in discriminator.parameters()
        )
    assert taught[1] == pytest.approx(taught[0], rel=1e-3)
