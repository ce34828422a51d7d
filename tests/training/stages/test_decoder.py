"""The decoder's own training: tokens stay what they were, the hole is learnt, draws are as in use."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from maskmend.decoding.interface import decode
from maskmend.errors import ConfigError, TrainingError
from maskmend.images.infill import infill
from maskmend.models.blocks import ResidualBlock
from maskmend.models.quantizer import QuantizerConfig
from maskmend.models.tokenizer_config import TokenizerConfig
from maskmend.models.transformer import Hints, MaskedTransformer
from maskmend.models.vqgan import VQGAN
from maskmend.pretrained.component import load_tokenizer, load_transformer, save_tokenizer, save_transformer
from maskmend.pretrained.hashes import tokens_hash
from maskmend.training.masking import draw_holes
from maskmend.training.recipe import Recipe
from maskmend.training.run import build_stage, configured, run
from maskmend.training.stage_config import DecoderTraining
from maskmend.training.stages.decoder import DecoderStage, fine_tuned_config, init_from
from maskmend.training.stages.transformer import TRANSFORMERS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def transformer_folder(make_recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("transformer-run") / "transformer"
    save_transformer(MaskedTransformer(configured(TRANSFORMERS, make_recipe("transformer"))).eval(), folder)
    return folder


def built(recipe: Recipe) -> DecoderStage:
    stage = build_stage(recipe, CPU)
    assert isinstance(stage, DecoderStage)
    return stage


def step(stage: DecoderStage, batch: Tensor, number: int = 0) -> dict[str, float]:
    figures = stage.train_step([batch], number, np.random.default_rng(number))
    return {name: float(value) for name, value in figures.items()}


def test_it_starts_from_the_trained_decoder_and_keeps_its_tokens(
    make_recipe, tokenizer_folder: Path, batch: Tensor
) -> None:
    """Would catch a decoder that begins anew, and an encoder or codebook that moves: the transformer's tokens
    would mean something else."""
    trained = load_tokenizer(tokenizer_folder)
    stage = built(make_recipe("decoder"))
    tokens = trained.encode(batch)
    torch.testing.assert_close(stage.model.eval().decode(tokens), trained.decode(tokens))
    for number in range(3):
        step(stage, batch, number)
    assert tokens_hash(stage.model) == tokens_hash(trained)
    assert tokens_hash(stage.ema.module) == tokens_hash(trained)
    assert not torch.allclose(stage.model.eval().decode(tokens), trained.decode(tokens))


@pytest.mark.parametrize("design", ["plain", "coursework"])
def test_a_deeper_decoder_starts_as_the_trained_one(design: Literal["plain", "coursework"]) -> None:
    """Would catch blocks that take over another's weights, an upsampling that begins anew behind more blocks,
    and new blocks that disturb from the first step on or can never learn."""
    torch.manual_seed(0)
    config = TokenizerConfig(
        resolution=16,
        encoder_channels=(32, 32, 32),
        encoder_blocks=1,
        downsample_after=(1,),
        decoder_channels=(64, 32),
        decoder_blocks=1,
        upsample_after=(1,),
        design=design,
        quantizer=QuantizerConfig(codes=16, code_dim=32),
    )
    trained = VQGAN(config).eval()
    deeper = VQGAN(replace(config, decoder_blocks=3)).eval()
    init_from(deeper, trained)
    tokens = torch.randint(16, (2, 8, 8))
    torch.testing.assert_close(deeper.decode(tokens), trained.decode(tokens))
    deeper.decoder(deeper.quantizer.lookup(tokens)).square().sum().backward()
    last = deeper.decoder.stages.get_submodule("1.2")
    assert isinstance(last, ResidualBlock)
    assert last.conv2.weight.grad is not None
    assert last.conv2.weight.grad.abs().sum() > 0


def test_true_tokens_without_a_transformer(make_recipe, batch: Tensor) -> None:
    """Would catch holes whose tokens are those of the infilled picture, or known ones that have seen it."""
    stage = built(make_recipe("decoder"))
    masks = stage._masks(np.random.default_rng(0), len(batch))
    tokens, known = stage.examples(batch, masks, 0)
    filled = infill(batch, masks.pixels, "diffusion")
    wanted = torch.where(masks.hole.view(-1, 4, 4), stage.model.encode(batch), stage.model.encode(filled))
    assert torch.equal(tokens, wanted)
    assert torch.equal(known.image, filled)
    assert torch.equal(known.mask, masks.pixels)


def test_the_transformer_draws_hidden_tokens_only(
    make_recipe, transformer_folder: Path, batch: Tensor
) -> None:
    """Would catch draws at known or already filled tokens, the mask token among the draws, and draws that
    differ from run to run."""
    plain = built(make_recipe("decoder"))
    stage = built(make_recipe("decoder", decoder={"transformer": str(transformer_folder)}))
    masks = stage._masks(np.random.default_rng(3), len(batch))
    true, _ = plain.examples(batch, masks, 0)
    drawn, _ = stage.examples(batch, masks, 0)
    moved = (true != drawn).flatten(1)
    assert bool(moved.any())
    assert not bool((moved & ~masks.masked).any())
    assert int(drawn.max()) < stage.config.quantizer.codes
    assert torch.equal(drawn, stage.examples(batch, masks, 0)[0])
    assert not torch.equal(drawn, stage.examples(batch, masks, 99)[0])


def test_a_hole_filled_in_steps_is_filled_as_inference_fills_it(
    make_recipe, transformer_folder: Path, batch: Tensor
) -> None:
    """Would catch true tokens left in the hole, draws that see them, and another loop than the one in use."""
    options = {"transformer": str(transformer_folder), "steps": 3, "temperature": 0.7, "whole": 0.0}
    stage = built(make_recipe("decoder", decoder=options))
    masks = stage._masks(np.random.default_rng(3), len(batch))
    assert bool((masks.hole & ~masks.masked).any())  # tokens that steps = 0 would leave true
    tokens, known = stage.examples(batch, masks, 5)
    seen = stage.model.encode(known.image).flatten(1)
    transformer = load_transformer(transformer_folder)
    missing = known.mask.float().unflatten(2, (4, 4)).unflatten(4, (4, 4)).mean((3, 5)).flatten(1)
    hidden = torch.where(masks.hole, transformer.config.mask_id, seen)
    wanted = decode(
        lambda tokens, masked: transformer(tokens, masks.hole, masked, Hints(seen, missing)),
        hidden,
        masks.hole,
        mask_id=transformer.config.mask_id,
        steps=3,
        noise=1.0,
        temperature=0.7,
        seeds=range(5, 5 + len(batch)),
    )
    assert torch.equal(tokens.flatten(1), wanted.tokens)


@pytest.mark.parametrize("steps", [0, 2])
def test_pictures_that_are_all_hole_keep_their_true_tokens(
    steps: int, make_recipe, transformer_folder: Path, batch: Tensor
) -> None:
    """Would catch a decoder taught to draw one picture from the draws of another."""
    whole = {"whole": 1.0, "boxes": 0.0, "strokes": 0.0, "random_walk": 0.0, "steps": steps}
    stage = built(make_recipe("decoder", decoder=whole | {"transformer": str(transformer_folder)}))
    masks = stage._masks(np.random.default_rng(0), len(batch))
    assert bool(masks.pixels.all())
    tokens, known = stage.examples(batch, masks, 0)
    assert torch.equal(tokens, stage.model.encode(batch))
    assert torch.equal(known.image, torch.zeros_like(batch))


def test_an_error_in_the_hole_weighs_more(make_recipe, batch: Tensor) -> None:
    """Would catch a weight that reaches the known pixels, which the composite replaces anyway."""
    recipe = make_recipe("decoder", decoder={"hole_weight": 5.0})
    stage = built(recipe)
    mask = torch.zeros(4, 1, 16, 16, dtype=torch.bool)
    mask[:, :, :, :8] = True
    fake = (batch + 0.1).requires_grad_()
    last = torch.ones((), requires_grad=True)
    gradient, _ = stage.image_loss.gradient(batch, fake * last, last, 0, mask, 5.0)
    inside, outside = gradient[:, :, :, :8], gradient[:, :, :, 8:]
    torch.testing.assert_close(inside, 5 * outside)


def other_tokenizer(tokenizer_folder: Path, folder: Path) -> Path:
    """A tokenizer of the same shape and other tokens."""
    tokenizer = load_tokenizer(tokenizer_folder)
    tokenizer.quantizer.codebook += 0.1
    save_tokenizer(tokenizer, folder)
    return folder


def test_a_transformer_of_another_tokenizer_draws_nothing(
    make_recipe, tokenizer_folder: Path, tmp_path: Path
) -> None:
    """Would catch a decoder taught with draws that mean something else."""
    transformer = MaskedTransformer(configured(TRANSFORMERS, make_recipe("transformer"))).eval()
    tokens = tokens_hash(load_tokenizer(tokenizer_folder))
    save_transformer(transformer, tmp_path / "transformer", tokens=tokens)
    given = {"transformer": str(tmp_path / "transformer")}
    built(make_recipe("decoder", decoder=given))
    other = str(other_tokenizer(tokenizer_folder, tmp_path / "other"))
    with pytest.raises(ConfigError, match=r"was trained on the tokens of another tokenizer than .*other"):
        built(make_recipe("decoder", decoder=given | {"tokenizer": other}))


def test_a_run_does_not_go_on_over_another_tokenizer(
    make_recipe, tokenizer_folder: Path, tmp_path: Path
) -> None:
    """Would catch a run that goes on with its old encoder and says it was the new one."""
    run(make_recipe("decoder", training={"steps": 1}), tmp_path / "run")
    other = {"tokenizer": str(other_tokenizer(tokenizer_folder, tmp_path / "other"))}
    with pytest.raises(TrainingError, match=r"tokens of another tokenizer than .*other"):
        run(make_recipe("decoder", training={"steps": 2}, decoder=other), tmp_path / "run")
    redrawn = {"tokenizer": str(tmp_path / "run")}
    assert run(make_recipe("decoder", training={"steps": 2}, decoder=redrawn), tmp_path / "run").finished


@pytest.mark.parametrize("design", ["plain", "coursework"])
@pytest.mark.parametrize("doubles", [(1, 2), (1, 3), (2, 4)], ids=str)
def test_known_pixels_condition_the_decoder_unless_refused(
    design: Literal["plain", "coursework"], doubles: tuple[int, ...]
) -> None:
    """Would catch a decoder's training without what it is for, and widths that do not fit the decoder's."""
    plain = TokenizerConfig(
        resolution=16,
        encoder_channels=(32, 32, 32),
        downsample_after=(1, 2),
        decoder_channels=(128, 96, 64, 32),
        upsample_after=doubles,
        design=design,
        quantizer=QuantizerConfig(codes=16, code_dim=32),
    )
    config = fine_tuned_config(plain, {})
    known = VQGAN(config).decoder.known_encoder
    assert known is not None
    widths = [merge.weight.shape[:2] for merge in known.zero_convs]
    assert [tuple(width) for width in widths] == [(width, width) for width in config.known_channels]
    assert fine_tuned_config(plain, {"known_channels": []}).known_channels == ()
    assert fine_tuned_config(plain, {"known_channels": [32, 32, 32]}).known_channels == (32, 32, 32)
    assert fine_tuned_config(replace(plain, known_channels=(64, 32, 64)), {}).known_channels == (64, 32, 64)


def test_a_run_blurs_colour(make_recipe, batch: Tensor) -> None:
    """Would catch a setting of the recipe that does not reach the decoder it trains."""
    sharp, blurred = (built(make_recipe("decoder", model={"colour_blur": sigma})) for sigma in (0.0, 0.5))
    tokens = sharp.model.encode(batch)

    def steps_of_colour(stage: DecoderStage) -> Tensor:
        """Mean squared difference of neighbours in what is left without the brightness."""
        decoded = stage.model.eval().decode(tokens)
        grey = (decoded * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
        return (decoded - grey).diff(dim=-1).square().mean()

    assert steps_of_colour(blurred) < 0.8 * steps_of_colour(sharp)
    assert step(blurred, batch)["loss"] != step(sharp, batch)["loss"]


def test_loss_goes_down_on_two_pictures(make_recipe, batch: Tensor) -> None:
    """Would catch any sign or gradient that is wrong enough to keep it from learning."""
    stage = built(make_recipe("decoder"))
    for group in stage.optimizers[0].param_groups:
        group["lr"] = 5e-3
    before = stage.validate([batch[:2]])["loss"]
    for number in range(60):
        step(stage, batch[:2], number)
    assert stage.validate([batch[:2]])["loss"] < 0.7 * before


def test_a_run_leaves_a_tokenizer_that_sees_known_pixels(make_recipe, tmp_path: Path) -> None:
    """Would catch a run that exports under another name, or without the branch."""
    recipe = make_recipe("decoder", training={"steps": 2, "validate_every": 1, "picture_every": 1})
    assert run(recipe, tmp_path / "run").finished
    tokenizer = load_tokenizer(tmp_path / "run" / "tokenizer")
    assert tokenizer.config.known_channels == (8, 8, 8)
    assert (tmp_path / "run" / "pictures" / "0000002.png").is_file()


@pytest.mark.parametrize("name", ["resolution", "encoder_channels", "quantizer", "design"])
def test_what_decides_the_tokens_cannot_be_changed(name: str, make_recipe) -> None:
    """Would catch a transformer that is left with tokens nobody makes any more."""
    with pytest.raises(ConfigError, match=f"model.{name} determines the tokens"):
        built(make_recipe("decoder", model={name: 1}))


def test_a_recipe_needs_its_table_and_a_family_of_holes(make_recipe) -> None:
    """Would catch an assertion in the place of a line that names the setting."""
    with pytest.raises(ConfigError, match=r"needs a \[decoder\] table"):
        Recipe(stage="decoder", data=make_recipe("decoder").data, training=make_recipe("decoder").training)
    with pytest.raises(
        ConfigError, match="whole, boxes, strokes, random_walk, scratches, text, blobs are all 0"
    ):
        DecoderTraining(tokenizer="", whole=0.0, boxes=0.0, strokes=0.0, random_walk=0.0)
    with pytest.raises(ConfigError, match="steps = 8 without a transformer"):
        DecoderTraining(tokenizer="", steps=8)


def test_holes_are_drawn_by_weight() -> None:
    """Would catch a family that is never drawn."""
    options = DecoderTraining(tokenizer="", whole=1.0, boxes=1.0, strokes=0.0, random_walk=0.0)
    masks = draw_holes(np.random.default_rng(0), 60, 32, 4, options)
    whole = masks.pixels.flatten(1).all(1)
    assert 15 < int(whole.sum()) < 45
    assert torch.equal(whole, masks.hole.all(1))
