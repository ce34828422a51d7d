"""Checkpoints that do not fit are refused in one line, from Python and from the command line."""

import pickle
from pathlib import Path

import pytest
import torch
from changed_files import (
    CODES,
    HEADS,
    TRANSFORMER,
    VQGAN,
    assert_same_logits,
    assert_same_tokenizer,
    changed,
    pictures,
    put,
    saved,
    twice,
)
from click.testing import CliRunner

from coursework import NonLocalBlock, coursework_vqgan
from fakes import box_mask, smooth_pixels
from maskmend.cli import main
from maskmend.errors import ModelError
from maskmend.importers.coursework.convert import convert_coursework
from maskmend.pipeline import InpaintPipeline


def drop(start):
    """Takes out the keys that begin so."""
    return lambda s: [s.pop(key) for key in list(s) if key.startswith(start)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("codebook.embedding.weight", 20, 8, value=torch.nan), r"embedding\.weight is not finite"),
        (drop("codebook."), "no VQGAN of the coursework: no key codebook"),
        (drop("quant_conv."), r"quant_conv is none of the layers ours has \(no keys\)"),
        (drop("encoder.model."), r"has 0 layers under encoder\.model"),
        (drop("encoder.model.3."), r"encoder\.model\.3 has no weights"),
        (drop("encoder.model.2.block.2"), r"encoder\.model\.2 lacks one of its convolutions"),
        (drop("encoder.model.2.block.3.gn.weight"), r"no weights for our encoder\.layers\.3\.norm2\.weight"),
        (put("encoder.model.0.weight", 32, 1, 3, 3), r"has shape \(32, 1, 3, 3\), expected \(32, 3, 3, 3\)"),
        (put("decoder.model.25.weight", 4, 32, 3, 3), "decodes to 4 channels, expected 3"),
        (twice(drop("decoder.model.2."), put("decoder.model.2.weight", 96)),
         r"decoder\.model is laid out CRNRRA.*, expected CRAR, R with A or S"),
        (twice(drop("decoder.model.2."), put("decoder.model.2.thing", 96)),
         r"decoder\.model\.2 is none of the layers ours has \(thing\)"),
        (put("codebook.embedding.weight", 1, 8), "does not fit ours: codes=1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_vqgan_is_said_in_one_line(files, tmp_path, change, message):
    """Catches a model that is converted to something it is not, and errors from deep inside PyTorch."""
    path = saved(changed(VQGAN, change), tmp_path / "changed.pt")
    with pytest.raises(ModelError, match=message) as caught:
        convert_coursework(path, files[1], heads=HEADS)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("part", "place", "layer", "message"),
    [
        ("encoder", 2, NonLocalBlock(32), "attention follows residual block 1 of the stages"),
        ("decoder", 12, NonLocalBlock(64), "attention follows residual block 4 of the stages"),
        ("decoder", 5, None, "attention is missing after residual block 1 of the stages"),
        ("decoder", 10, None, "upsample_after=.*same number of stages"),
    ],
)
def test_attention_and_resolution_elsewhere_are_refused(files, tmp_path, part, place, layer, message):
    """Catches layers that ours would leave out, or put in another place."""
    theirs = coursework_vqgan()
    model = getattr(theirs, part).model
    if layer is None:
        del model[place]
    else:
        model.insert(place, layer)
    with pytest.raises(ModelError, match=message):
        convert_coursework(saved(theirs.state_dict(), tmp_path / "changed.pt"), files[1], heads=HEADS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("tok_emb.weight", CODES, 32), r"expected 21 rows or more, for the 20 codes.*of one model"),
        (drop("pos_emb"), r"has no pos_emb\.weight"),
        (put("pos_emb", 13, 32), "13 positions, expected a square number"),
        (twice(put("tok_emb.weight", 22, 32), put("pos_emb", 17, 32)), "17 positions.* a token in front"),
        (put("bias", 16, 9), r"bias has shape \(16, 9\), expected 21 values"),
        (put("bias", 5, 21), r"bias has shape \(5, 21\), .*each of 16 positions"),
        (drop("blocks.1."), r"has blocks \[0, 2\]"),
        (drop("blocks."), r"has blocks \[\]"),
        (drop("blocks.1.MLP.2.weight"), r"has no weights for our blocks\.1\.mlp\.2\.weight"),
        (drop("LN.weight"), r"has no weights for our embedding_norm\.weight"),
        (put("blocks.1.MLP.0.weight", 40, 32), r"has shape \(40, 32\), expected \(48, 32\)"),
        (
            drop("blocks.2.Attention.proj."),
            r"cannot identify query.* among Attention\.qkv \(96, 32\): rename",
        ),
        (put("blocks.2.Attention.more.weight", 32, 32), "cannot identify query, key"),
        (
            drop("blocks.2.Attention."),
            "cannot identify query, key, value and output of the attention among nothing",
        ),
    ],
)
def test_what_does_not_fit_the_transformer_is_said_in_one_line(files, tmp_path, change, message):
    """Catches a model that is converted to something it is not, and errors from deep inside PyTorch."""
    path = saved(changed(TRANSFORMER, change), tmp_path / "changed.pt")
    with pytest.raises(ModelError, match=message) as caught:
        convert_coursework(files[0], path, heads=HEADS)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_nothing_is_unpickled(files, tmp_path):
    """Catches a checkpoint of a stranger that runs a stranger's code, or advice to let it."""
    mark = tmp_path / "mark"

    class Bomb:
        def __reduce__(self):
            return Path.touch, (mark,)

    for number, write in enumerate((torch.save, lambda value, path: path.write_bytes(pickle.dumps(value)))):
        path = tmp_path / f"bomb{number}.pt"
        write({"model": TRANSFORMER.state_dict(), "loss": Bomb()}, path)
        with pytest.raises(
            ModelError, match=r"is not loaded: .*torch\.save\(model\.state_dict\(\), PATH\)"
        ) as caught:
            convert_coursework(files[0], path)
        assert "weights_only" not in str(caught.value)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 half a file"])
def test_damaged_files_are_refused(files, tmp_path, content):
    path = tmp_path / "damaged.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged\.pt is not loaded: it is damaged"):
        convert_coursework(path, files[1])
    with pytest.raises(ModelError, match=r"no checkpoint at .*nowhere\.pt"):
        convert_coursework(tmp_path / "nowhere.pt", files[1])
    with pytest.raises(ModelError, match="holds a list, no dictionary of tensors"):
        convert_coursework(saved([1], tmp_path / "list.pt"), files[1])


def run(*command, name="coursework"):
    return CliRunner().invoke(main, ["convert", name, *map(str, command)], prog_name="maskmend")


@pytest.mark.parametrize("half", [False, True])
def test_the_command_writes_a_model_that_fills(files, tmp_path, half):
    """Catches a folder that does not load, or fills otherwise than the models it was made of."""
    out = tmp_path / "model"
    # "lab" is the name of command and pixels in older versions.
    options = ["--half", "--pixels", "lab"] if half else []
    result = run(*files, "-o", out, "--heads", HEADS, *options, name="lab" if half else "coursework")
    assert result.exit_code == 0, result.output
    assert f"wrote {out}: 16x16 pictures, 4x4 tokens, 20 codes, 3 blocks of 4 heads" in result.stdout
    pipe = InpaintPipeline.from_pretrained(out)
    if not half:
        assert_same_tokenizer(pipe.tokenizer, VQGAN, pictures())
        assert_same_logits(pipe.transformer, TRANSFORMER)
    image, mask = smooth_pixels(16, 16), box_mask(16, 16, 4, 4, 12, 12)
    filled = pipe(image, mask, steps=3).pictures[0].pixels
    assert (filled[~mask] == image[~mask]).all()
    assert (filled[mask] != image[mask]).any()


def test_the_command_tells_what_it_left_out(files, tmp_path):
    path = saved(changed(TRANSFORMER, lambda s: s.update(spare=torch.ones(1))), tmp_path / "changed.pt")
    result = run(files[0], path, "-o", tmp_path / "model", "--heads", HEADS)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == f"{path}: spare is not used"


def test_the_command_refuses_in_one_line_and_writes_nothing(files, tmp_path):
    """Catches half a model folder, an overwritten one, and a traceback."""
    out = tmp_path / "model"
    swapped = run(files[1], files[0], "-o", out)
    assert swapped.exit_code == 2
    assert len(swapped.stderr.splitlines()) == 1
    assert "holds no VQGAN of the coursework" in swapped.stderr
    assert not out.exists()
    assert run(*files, "-o", out, "--heads", 5).exit_code == 2
    assert not out.exists()
    assert run(*files, "-o", out, "--heads", HEADS).exit_code == 0
    again = run(*files, "-o", out, "--heads", HEADS)
    assert again.exit_code == 2
    assert "already holds a model" in again.stderr
