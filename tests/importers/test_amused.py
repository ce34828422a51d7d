"""aMUSEd's folders become models that encode and draw what the published arithmetic does, and fill holes
without what its own pipeline loses.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file, save_file

from converted_amused import RESIZED, SMALL, both_logits, converted
from fakes import smooth_pixels
from maskmend.cli import main
from maskmend.decoding.interface import decode as fill_tokens
from maskmend.errors import ConfigError
from maskmend.masks.morphology import token_hole
from maskmend.models.uvit import UViTConfig
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.prompts import Prompts
from restated_amused import decode, encode, prompt_words, write_folder


@pytest.fixture(scope="module", params=[SMALL, RESIZED], ids=["256", "512"])
def case(request, tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("amused")
    return request.param, write_folder(folder, request.param), *converted(folder)


@torch.no_grad()
def test_tokens_and_pictures_are_the_published_ones(case):
    """Pixels in [0, 1] and the names of the stages: decoder.up_blocks counts the other way round."""
    sizes, parts, _, pipe = case
    pixels = torch.rand(3, sizes.side, sizes.side, generator=torch.Generator().manual_seed(2))
    tokens = encode(parts["vqvae"], sizes, pixels)
    assert len(tokens.unique()) > 4
    assert torch.equal(pipe.tokenizer.encode(2 * pixels[None] - 1)[0], tokens)
    picture = decode(parts["vqvae"], sizes, tokens)
    assert ((picture > 0) & (picture < 1)).float().mean() > 0.5
    torch.testing.assert_close((pipe.tokenizer.decode(tokens[None])[0] + 1) / 2, picture, atol=1e-4, rtol=0)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="maskmend")


def test_from_the_command_line_to_a_filled_hole(tmp_path):
    """A step that needs what the conversion left out; pixels outside the hole that change."""
    torch.manual_seed(0)
    write_folder(tmp_path / "amused", SMALL)
    result = run("convert", "amused", tmp_path / "amused", "-o", tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert "openrail++" in (tmp_path / "model" / "README.md").read_text()
    shutil.rmtree(tmp_path / "amused")
    pixels = smooth_pixels(11, 13)
    mask = np.zeros(pixels.shape[:2], bool)
    mask[3:6, 4:9] = True
    Image.fromarray(pixels).save(tmp_path / "image.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    out = tmp_path / "out.png"
    image, model = tmp_path / "image.png", tmp_path / "model"
    result = run("inpaint", image, "--mask", tmp_path / "mask.png", "-o", out, "--model", model)
    assert result.exit_code == 0, result.output
    filled = np.asarray(Image.open(out))
    assert np.array_equal(filled[~mask], pixels[~mask])
    assert not np.array_equal(filled[mask], pixels[mask])
    # Converted without prompts, it knows neither words nor classes, and guidance has nothing to lead to.
    for option, told in (
        ("--label=auto", "this model has no classes"),
        ("--prompt=a boat", "this model takes no prompts, or its folder has none"),
        ("--set=guidance=3", "this model was not trained for it"),
    ):
        line = [
            "inpaint",
            image,
            "--mask",
            tmp_path / "mask.png",
            "-o",
            tmp_path / "no.png",
            "--model",
            model,
        ]
        result = run(*line, option)
        assert result.exit_code == 2
        assert told in result.stderr
        assert not (tmp_path / "no.png").exists()


def test_nothing_of_the_hole_reaches_the_model(case):
    """Its own pipeline encodes the hole's pixels with the rest, so that what is to go shapes what comes."""
    sizes, _, _, pipe = case
    pixels = smooth_pixels(sizes.side, sizes.side)
    mask = np.zeros(pixels.shape[:2], bool)
    mask[1:4, 1:5] = True
    other = pixels.copy()
    other[mask] = 255 - other[mask]
    fills = [pipe(Image.fromarray(each), mask, seed=4) for each in (pixels, other)]
    assert np.array_equal(*(fill.tokens for fill in fills))
    assert np.array_equal(*(np.asarray(fill.images[0]) for fill in fills))


def test_a_thin_scratch_marks_every_cell_it_touches():
    """Its own pipeline resizes the mask to the tokens' grid and takes what is half white: nothing is left of
    a scratch of 6 pixels, and the picture comes back as it was."""
    mask = np.zeros((256, 256), np.uint8)
    for y in range(20, 240):
        mask[y, y // 2 + 30 : y // 2 + 36] = 255
    small = np.asarray(Image.fromarray(mask).resize((16, 16), Image.Resampling.LANCZOS)) / 255
    touched = mask.reshape(16, 16, 16, 16).max((1, 3)) > 0
    assert touched.sum() >= 14
    assert not (small >= 0.5).any()
    ours = token_hole(torch.from_numpy(mask > 0)[None, None], 16)[0]
    assert np.array_equal(ours.numpy(), touched)


def test_known_tokens_stay_in_half_precision():
    """Its own scheduler gives known tokens the largest confidence and adds Gumbel noise to it. What keeps the
    noise's logarithms finite, 1e-20, is 0 in float16: where the uniform number is 0 the confidence is minus
    infinity, and a known token is masked and drawn anew."""
    side, codes = 32, 64
    generator = torch.Generator().manual_seed(0)
    known = torch.randint(0, codes, (1, side**2), generator=generator)
    hole = torch.rand(1, side**2, generator=generator) < 0.3
    probability = torch.full((1, side**2), 0.5, dtype=torch.float16)
    probability[~hole] = torch.finfo(torch.float16).max
    lost = 0
    for left in range(11, 0, -1):  # of 12 steps all but the last, under the linear schedule
        uniform = torch.zeros_like(probability).uniform_(generator=generator)
        noise = -(-uniform.clamp(1e-20).log()).clamp(1e-20).log()
        confidence = probability.clamp(1e-20).log() + 2 * left / 11 * noise
        count = int(hole.sum()) * left // 12
        lost += int((confidence < confidence.sort(dim=-1).values[:, [count]])[~hole].sum())
    assert lost > 0

    def predict(tokens: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
        return torch.randn(int(masked.sum()), codes, generator=generator).half()

    seen: list[torch.Tensor] = []
    fill_tokens(
        predict, known, hole, mask_id=codes, steps=12, noise=2.0, schedule="linear",
        on_step=lambda step: seen.append(step.tokens),
    )  # fmt: skip
    assert len(seen) == 12
    assert all(torch.equal(tokens[~hole], known[~hole]) for tokens in seen)


def test_half_weights_of_the_source_are_read(tmp_path):
    """The published fp16 files, which lie under another name."""
    torch.manual_seed(0)
    parts = write_folder(tmp_path, SMALL, torch.float16)
    for part, stem in (("transformer", "diffusion_pytorch_model"), ("vqvae", "diffusion_pytorch_model")):
        file = tmp_path / part / f"{stem}.safetensors"
        file.rename(file.with_name(f"{stem}.fp16.safetensors"))
    model, _ = converted(tmp_path)
    wide = {part: {k: v.float() for k, v in weights.items()} for part, weights in parts.items()}
    with torch.no_grad():
        theirs, ours = both_logits(SMALL, wide, model)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.fixture
def prompted(tmp_path, monkeypatch):
    """A model that keeps prompts, each of whose letters is a word: the tokenizer is an extra."""
    torch.manual_seed(0)
    parts = write_folder(tmp_path / "amused", SMALL)
    result = run("convert", "amused", tmp_path / "amused", "-o", tmp_path / "model", "--prompts")
    assert result.exit_code == 0, result.output
    shutil.rmtree(tmp_path / "amused")
    words = lambda self, prompt: prompt_words(SMALL, *(ord(letter) - ord("a") for letter in prompt))  # noqa: E731
    monkeypatch.setattr(Prompts, "_words", words)
    return parts, InpaintPipeline.from_pretrained(tmp_path / "model", precision="fp32")


@torch.no_grad()
def test_a_prompt_gives_the_published_logits(prompted):
    """The pooled text of another token, constants of the empty prompt left in, weights in wrong places."""
    parts, pipe = prompted
    condition = pipe.prompts.condition("bcd")[None]
    theirs, ours = both_logits(SMALL, parts, pipe.transformer, (1, 2, 3), condition)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    empty, _ = both_logits(SMALL, parts, pipe.transformer)
    assert (empty - theirs).abs().max() > 0.01


def test_prompts_reach_the_fill_and_outlive_saving(prompted, tmp_path):
    """A prompt that is read and forgotten; guidance that is refused; a copy of the model without prompts."""
    pipe = prompted[1]
    pixels = smooth_pixels(8, 8)
    mask = np.ones((8, 8), bool)
    mask[0] = False
    fills = [
        pipe(Image.fromarray(pixels), mask, **how).log_likelihood
        for how in ({}, {"prompt": "bcd"}, {"prompt": "bcd", "guidance": 3.0})
    ]
    assert len({float(fill[0]) for fill in fills}) == 3
    pipe.save_pretrained(tmp_path / "copy")
    again = InpaintPipeline.from_pretrained(tmp_path / "copy", precision="fp32")
    assert np.array_equal(again(Image.fromarray(pixels), mask, prompt="bcd").log_likelihood, fills[1])


def test_a_prompt_that_cannot_be_is_told(case, prompted, monkeypatch):
    """A traceback without the extra; a prompt that a model without them takes in silence."""
    image = Image.fromarray(smooth_pixels(8, 8))
    with pytest.raises(
        ConfigError, match="prompt = 'bcd': this model takes no prompts, or its folder has none"
    ):
        case[3](image, np.ones((8, 8), bool), prompt="bcd")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"prompt = 'bcd' needs transformers: .*'\.\[text\]'"):
        prompted[1](image, np.ones((8, 8), bool), prompt="bcd")


WEIGHTS = "diffusion_pytorch_model.safetensors"


def change_weights(folder: Path, part: str, change: Callable[[dict], object]) -> None:
    name = "model.safetensors" if part == "text_encoder" else WEIGHTS
    weights = load_file(folder / part / name)
    change(weights)
    save_file(weights, folder / part / name)


def change_config(folder: Path, part: str, **changes: object) -> None:
    path = folder / part / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


NORM = "project_to_hidden_norm.weight"
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "unknown key": (
        lambda f: change_weights(f, "transformer", lambda w: w.update(lora=torch.zeros(2))), "lora",
    ),
    "missing key": (lambda f: change_weights(f, "transformer", lambda w: w.pop(NORM)), NORM),
    "wrong shape": (
        lambda f: change_weights(f, "transformer", lambda w: w.update({NORM: torch.zeros(7)})), NORM,
    ),
    "wrong dtype": (
        lambda f: change_weights(f, "transformer", lambda w: w.update({NORM: w[NORM].long()})), NORM,
    ),
    "not finite": (
        lambda f: change_weights(f, "transformer", lambda w: w[NORM].fill_(float("nan"))), NORM,
    ),
    "truncated": (lambda f: truncate(f / "transformer" / WEIGHTS), WEIGHTS),
    "another model": (
        lambda f: change_config(f, "transformer", _class_name="UNet2DConditionModel"), "UNet2DConditionModel",
    ),
    "another model's file": (
        lambda f: shutil.copy(f / "vqvae" / WEIGHTS, f / "transformer" / WEIGHTS), "embed.embeddings.weight",
    ),
    "layers by the million": (
        lambda f: change_config(f, "transformer", num_hidden_layers=999_999), "num_hidden_layers",
    ),
    "biases": (lambda f: change_config(f, "transformer", use_bias=True), "use_bias"),
    "newer setting": (lambda f: change_config(f, "transformer", rope=True), "rope"),
    "codes": (lambda f: change_config(f, "vqvae", num_vq_embeddings=64), "codebook_size"),
    "tokenizer's attention": (
        lambda f: change_config(f, "vqvae", mid_block_add_attention=True), "mid_block_add_attention",
    ),
    "tokenizer's key": (
        lambda f: change_weights(f, "vqvae", lambda w: w.pop("decoder.up_blocks.0.resnets.0.conv1.bias")),
        "decoder.up_blocks.0.resnets.0.conv1.bias",
    ),
    "no text encoder": (lambda f: shutil.rmtree(f / "text_encoder"), "text_encoder"),
    "other text encoder": (
        lambda f: change_config(f, "text_encoder", architectures=["T5EncoderModel"]), "T5EncoderModel",
    ),
    "no vocabulary": (lambda f: (f / "tokenizer" / "vocab.json").unlink(), "vocab.json"),
    "pickled": (
        lambda f: (f / "vqvae" / WEIGHTS).rename(f / "vqvae" / "diffusion_pytorch_model.bin"), ".bin",
    ),
    "other scheduler": (
        lambda f: (f / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "DDIMScheduler"}'),
        "DDIMScheduler",
    ),
    "mask token": (
        lambda f: (f / "scheduler" / "scheduler_config.json").write_text(
            '{"_class_name": "AmusedScheduler", "mask_token_id": 3}'
        ),
        "mask token 3",
    ),
    "no folder": (lambda f: shutil.rmtree(f), "no folder"),
}  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("sound") / "amused"
    write_folder(folder, SMALL)
    return folder


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(fault, sound, tmp_path):
    spoil, named = BAD[fault]
    shutil.copytree(sound, tmp_path / "amused")
    spoil(tmp_path / "amused")
    before = sorted(tmp_path.rglob("*"))
    result = run("convert", "amused", tmp_path / "amused", "-o", tmp_path / "model")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert named in result.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"heads": 5}, "heads = 5"), ({"grid": 5, "halves": True}, "grid = 5"), ({"layers": 0}, "layers = 0")],
)
def test_a_config_that_cannot_be_is_told(changes, named):
    with pytest.raises(ConfigError, match=named):
        UViTConfig(**changes)
