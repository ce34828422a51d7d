"""Checkpoints of the coursework: converted, they compute what they did, or the reason why not is told."""

import pickle
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from coursework import (
    DEVIATION,
    MEAN,
    EachHead,
    Fused,
    KeysValues,
    NonLocalBlock,
    Separate,
    Torch,
    coursework_transformer,
    coursework_vqgan,
)
from fakes import box_mask, smooth_pixels
from maskmend.cli import main
from maskmend.errors import ConfigError, ModelError
from maskmend.importers.coursework.convert import convert_coursework
from maskmend.inference.cached_transformer import InferenceTransformer
from maskmend.pipeline import InpaintPipeline

CODES, HEADS = 20, 4
VQGAN, TRANSFORMER = coursework_vqgan(), coursework_transformer()


def saved(state, path):
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The two checkpoints as bare state dicts."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return (
        saved(VQGAN.state_dict(), folder / "VQGAN.pt"),
        saved(TRANSFORMER.state_dict(), folder / "transformer.pt"),
    )


def converted(tmp_path, vqgan=VQGAN, transformer=TRANSFORMER, *, heads=HEADS, pixels="coursework"):
    first = saved(vqgan.state_dict(), tmp_path / "VQGAN.pt")
    second = saved(transformer.state_dict(), tmp_path / "transformer.pt")
    return convert_coursework(first, second, heads=heads, pixels=pixels)


def pictures(side=16, count=3):
    """In [0, 1]."""
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(5))


def in_double(module):
    """A copy that leaves rounding out of the comparison."""
    return deepcopy(module).double()


def assert_same_tokenizer(ours, theirs, pixels, *, mean=MEAN, deviation=DEVIATION):
    """Latents, tokens and drawn pictures of both; `pixels` in [0, 1]."""
    ours, theirs, pixels = in_double(ours), in_double(theirs), pixels.double()
    scaled = (pixels - mean) / deviation
    torch.testing.assert_close(ours.encoder(2 * pixels - 1), theirs.latents(scaled), atol=1e-5, rtol=0)
    tokens = theirs.encode(scaled)
    assert len(tokens.unique()) > 4
    assert torch.equal(ours.encode(2 * pixels - 1), tokens)
    drawn = 2 * (theirs.decode(tokens) * deviation + mean) - 1
    assert drawn.abs().max() > 0.1
    torch.testing.assert_close(ours.decoder(ours.quantizer.lookup(tokens)), drawn, atol=1e-5, rtol=0)


def assert_same_logits(ours, theirs, codes=CODES):
    """Logits of partly masked tokens, in a full pass and as decoding asks for them."""
    ours, theirs = in_double(ours), in_double(theirs)
    generator = torch.Generator().manual_seed(6)
    tokens = torch.randint(0, codes + 1, (3, ours.config.tokens), generator=generator)
    masked = tokens == codes
    wanted = theirs(tokens)[..., :codes]
    assert wanted.std() > 0.1
    torch.testing.assert_close(ours(tokens, masked), wanted.flatten(0, 1), atol=1e-5, rtol=0)
    predicted = InferenceTransformer(ours).predictor(tokens, masked)(tokens, masked)
    torch.testing.assert_close(predicted, wanted[masked], atol=1e-5, rtol=0)


def test_the_tokenizer_computes_what_theirs_does(tmp_path):
    """Catches weights in each other's place, padding on the other side, another number of groups, a missing
    1x1 convolution, and pixels on another scale."""
    result = converted(tmp_path)
    assert result.notes == ()
    assert_same_tokenizer(result.tokenizer, VQGAN, pictures())


def test_the_layout_is_read_off_the_keys(tmp_path):
    """Catches a layout that is assumed: the coursework halves after its third and fifth stage."""
    config = converted(tmp_path).tokenizer.config
    assert config.encoder_channels == (32, 32, 32, 64, 64, 96)
    assert (config.encoder_blocks, config.downsample_after) == (2, (3, 5))
    assert config.decoder_channels == (96, 64, 64, 32, 32)
    assert (config.decoder_blocks, config.upsample_after) == (3, (1, 3))
    assert not config.decoder_activation
    assert (config.resolution, config.quantizer.codes, config.quantizer.code_dim) == (16, CODES, 8)


def test_another_layout_of_the_family_is_read(tmp_path):
    """Catches a reader of one model only: four halvings, attention within stages, Swish before the end,
    pixels in [-1, 1]."""
    theirs = coursework_vqgan(
        halved_after=(0, 1, 2, 3),
        doubled_after=(3, 2, 1, 0),
        grid=2,
        codes=8,
        swish=True,
    )
    result = converted(tmp_path, theirs, coursework_transformer(codes=8, tokens=4), pixels="signed")
    config = result.tokenizer.config
    assert (config.downsample_after, config.upsample_after) == ((1, 2, 3, 4), (2, 3, 4, 5))
    assert config.decoder_activation
    half = torch.full((3, 1, 1), 0.5)
    assert_same_tokenizer(result.tokenizer, theirs, pictures(32, 8), mean=half, deviation=half)


def separate(*names, **options):
    return partial(Separate, names=names, **options)


ATTENTIONS = {
    "fused": Fused,
    "query, key, value": separate("query", "key", "value", "output_layer"),
    "q_linear": separate("q_linear", "k_linear", "v_linear", "out_linear"),
    "W_q": separate("W_q", "W_k", "W_v", "W_o"),
    "WQ": separate("WQ", "WK", "WV", "Wo"),
    "without biases": separate("query_proj", "key_proj", "value_proj", "output_proj", biased=False),
    "queries": separate("queries", "keys", "values", "proj"),
    "keys with values": KeysValues,
    "PyTorch's": Torch,
    "each head": EachHead,
}


@pytest.mark.parametrize("attention", ATTENTIONS.values(), ids=ATTENTIONS.keys())
def test_the_transformer_computes_what_theirs_does_however_attention_is_written(tmp_path, attention):
    """Catches query and key confused, heads split otherwise, LayerNorm's eps, another position's bias."""
    theirs = coursework_transformer(attention)
    result = converted(tmp_path, transformer=theirs)
    assert (result.transformer.config.layers, result.transformer.config.mlp) == (3, 48)
    assert_same_logits(result.transformer, theirs)
    assert all("no bias beside" in note for note in result.notes)


def test_heads_are_given_or_sixteen_or_the_files(tmp_path):
    """Catches a number of heads that is guessed, or taken against what the file shows."""
    sixteen = coursework_transformer(heads=16)
    assert_same_logits(converted(tmp_path, transformer=sixteen, heads=None).transformer, sixteen)
    each = coursework_transformer(EachHead)
    assert_same_logits(converted(tmp_path, transformer=each, heads=None).transformer, each)
    with pytest.raises(ConfigError, match="--heads 8, but the checkpoint has projections of 4 heads"):
        converted(tmp_path, transformer=each, heads=8)
    with pytest.raises(ConfigError, match="--heads 5 does not divide the width 32"):
        converted(tmp_path, heads=5)


def changed(module, change):
    state = dict(module.state_dict())
    change(state)
    return state


def drop(start):
    """Takes out the keys that begin so."""
    return lambda s: [s.pop(key) for key in list(s) if key.startswith(start)]


def put(key, *shape, value=0.0):
    return lambda s: s.update({key: torch.full(shape, value)})


def twice(first, second):
    return lambda s: (first(s), second(s))


def renamed(old, new):
    return lambda s: s.update({key.replace(old, new): s.pop(key) for key in list(s) if old in key})


def longer(key, dim):
    """One more entry along `dim`."""
    return lambda s: s.update({key: torch.cat([s[key], torch.ones_like(s[key].narrow(dim, 0, 1))], dim)})


@pytest.mark.parametrize(
    ("change", "notes"),
    [
        (lambda s: s.update(pos_emb=s["pos_emb"][None]), 0),
        (renamed("pos_emb", "pos_emb.weight"), 0),
        (longer("pos_emb", 0), 0),
        (twice(longer("tok_emb.weight", 0), longer("bias", 1)), 0),
        (renamed("blocks", "EncoderLayers"), 0),
        (renamed("Attention", "MultiHeadAttention"), 0),
        (twice(put("blocks.0.Attention.scale"), put("head.weight", 2)), 2),
    ],
    ids=[
        "(1, N, dim)",
        "embedding",
        "spare position",
        "spare token",
        "EncoderLayers",
        "long name",
        "unknown",
    ],
)
def test_other_shapes_of_the_same_transformer_are_read(files, tmp_path, change, notes):
    """Catches a reader that takes one student's file only, and keys that vanish without a word."""
    path = saved(changed(TRANSFORMER, change), tmp_path / "changed.pt")
    result = convert_coursework(files[0], path, heads=HEADS)
    assert_same_logits(result.transformer, TRANSFORMER)
    assert len(result.notes) == notes
    assert all(note.endswith("is not used") for note in result.notes)


@pytest.mark.parametrize("bias", ["one for all", "none"])
def test_one_bias_for_all_positions(files, tmp_path, bias):
    """Catches a bias that is read for the first position only."""
    theirs = coursework_transformer()
    theirs.bias.data = theirs.bias.data[:1] if bias == "one for all" else torch.zeros(1, CODES + 1)
    state = dict(theirs.state_dict(), bias=theirs.bias[0])
    if bias == "none":
        del state["bias"]
    result = convert_coursework(files[0], saved(state, tmp_path / "changed.pt"), heads=HEADS)
    assert result.transformer.bias.shape == (CODES,)
    assert_same_logits(result.transformer, theirs)


@pytest.mark.parametrize("wrapper", ["model", "transformer_state_dict", "state_dict", "anything"])
def test_wrapped_state_dicts_are_found(files, tmp_path, wrapper):
    """Catches a file that only its own code can read, and an optimizer that vanishes without a word."""
    content = {"epoch": 3, wrapper: TRANSFORMER.state_dict(), "optimizer": {"state": {0: {"step": 1}}}}
    result = convert_coursework(files[0], saved(content, tmp_path / "wrapped.pt"), heads=HEADS)
    assert_same_logits(result.transformer, TRANSFORMER)
    assert [note.partition(": ")[2] for note in result.notes] == [
        f"'epoch' beside '{wrapper}', left out",
        f"'optimizer' beside '{wrapper}', left out",
    ]


@pytest.mark.parametrize("prefix", ["transformer.", "module.", "module.transformer."])
def test_prefixes_are_taken_off(files, tmp_path, prefix):
    """Catches a checkpoint of the whole model, or of one that several devices trained."""
    content = {prefix + key: value for key, value in TRANSFORMER.state_dict().items()}
    result = convert_coursework(files[0], saved(content, tmp_path / "prefixed.pt"), heads=HEADS)
    assert_same_logits(result.transformer, TRANSFORMER)
    assert result.notes == ()


def test_one_file_may_hold_both(tmp_path):
    """Catches a whole model's checkpoint that has to be taken apart by hand first."""
    content = {f"vqgan.{key}": value for key, value in VQGAN.state_dict().items()}
    content |= {f"transformer.{key}": value for key, value in TRANSFORMER.state_dict().items()}
    path = saved(content, tmp_path / "whole.pt")
    result = convert_coursework(path, path, heads=HEADS)
    assert_same_tokenizer(result.tokenizer, VQGAN, pictures())
    assert_same_logits(result.transformer, TRANSFORMER)
    here, there = len(VQGAN.state_dict()), len(TRANSFORMER.state_dict())
    assert result.notes == (
        f"{path}: {there} keys under 'transformer' are of another part, left out",
        f"{path}: {here} keys under 'vqgan' are of another part, left out",
    )


def test_plain_normalisations_and_other_names_of_attention_norms_are_read(files, tmp_path):
    """Catches a reader that needs the wrappers around the normalisations."""
    state = {
        key.replace(".norm.gn.", ".gn.gn.")
        .replace("block.0.gn", "block.0")
        .replace("block.3.gn", "block.3"): value
        for key, value in VQGAN.state_dict().items()
    }
    result = convert_coursework(saved(state, tmp_path / "changed.pt"), files[1], heads=HEADS)
    assert_same_tokenizer(result.tokenizer, VQGAN, pictures())
    assert result.notes == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("codebook.embedding.weight", 20, 8, value=torch.nan), r"embedding\.weight is not finite"),
        (drop("codebook."), "no VQGAN of the published experiment: no key codebook"),
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


def test_a_model_keeps_no_more_than_its_weights(tmp_path):
    """Catches query, key and value that each keep the tensor of all three, and a tokenizer held twice."""
    result = converted(tmp_path)
    for module in (result.tokenizer, result.transformer):
        storages = {value.untyped_storage().data_ptr(): value for value in module.state_dict().values()}
        assert len(storages) == len(module.state_dict())
        assert all(value.untyped_storage().nbytes() == value.nbytes for value in storages.values())
        assert not any(value.is_meta for value in (*module.buffers(), *module.parameters()))


# On the command line


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
    assert "holds no VQGAN of the published experiment" in swapped.stderr
    assert not out.exists()
    assert run(*files, "-o", out, "--heads", 5).exit_code == 2
    assert not out.exists()
    assert run(*files, "-o", out, "--heads", HEADS).exit_code == 0
    again = run(*files, "-o", out, "--heads", HEADS)
    assert again.exit_code == 2
    assert "already holds a model" in again.stderr
