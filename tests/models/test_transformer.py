"""The transformer: both attention patterns, and what each setting does."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from maskmend.config import from_dict, to_dict
from maskmend.errors import ConfigError
from maskmend.models.transformer import (
    Hints,
    MaskedTransformer,
    TransformerConfig,
    coursework_config,
    small_config,
)
from tiny_transformers import KINDS, MASK, TINY, N, a_hint, built, codes, generator, holes, midway


def changed_logits(model, hole, where):
    """Positions whose logits change when the tokens `where` change."""
    tokens, hints = codes(len(hole)), a_hint(len(hole))
    others = torch.where(where, (tokens + 1) % TINY.codes, tokens)
    before, after = model(tokens, hole, hints=hints), model(others, hole, hints=hints)
    return (before != after).any(1).view(hole.shape)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_prefix_attention_keeps_known_tokens_from_the_hole(kind):
    """Catches known tokens that see the hole: their keys would change from step to step."""
    hole = holes(6, 1, 0)
    changed = changed_logits(built(**kind), hole, hole)
    assert not changed[~hole].any()
    assert changed[hole].all()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_known_tokens_matter_to_all(kind):
    """Catches a mask of the wrong polarity: the hole would be filled without looking at the picture."""
    hole = holes(6, 1, 0)
    first = torch.zeros_like(hole)
    first[torch.arange(3), (~hole).int().argmax(1)] = True
    assert changed_logits(built(**kind), hole, first).all()


def test_full_lets_every_token_see_every_token():
    """Catches `full` that still masks: the two patterns would be compared with themselves."""
    hole = holes(6, 1, 3)
    assert changed_logits(built(attention="full"), hole, hole).all()
    tokens, _ = midway(hole, 0.5)
    model = built(attention="full")
    # Without hole marks, `full` does not even know what the hole is.
    assert torch.equal(model(tokens, hole), model(tokens, ~hole))


@pytest.mark.parametrize("counts", [(0, 0), (N, N)])
def test_both_patterns_agree_where_there_is_nothing_to_hide(counts):
    """Catches patterns that differ in more than who sees whom."""
    hole = holes(*counts)
    tokens, _ = midway(hole, 0.5)
    prefix, full = built(seed=3), built(seed=3, attention="full")
    torch.testing.assert_close(prefix(tokens, hole), full(tokens, hole), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_both_patterns_share_one_layout_of_weights(kind):
    """Catches weights of one pattern that the other cannot load."""
    prefix, full = built(seed=1, **kind), built(seed=2, attention="full", **kind)
    shapes = [{name: tuple(v.shape) for name, v in model.state_dict().items()} for model in (prefix, full)]
    assert shapes[0] == shapes[1]
    full.load_state_dict(prefix.state_dict())
    tokens, hole, hints = codes(2), holes(0, 0), a_hint(2)
    expected = prefix(tokens, hole, hints=hints)
    torch.testing.assert_close(full(tokens, hole, hints=hints), expected, atol=1e-5, rtol=0)


def test_hole_mark_tells_filled_tokens_from_known_ones():
    """Catches a mark that is put on nothing, or on hidden tokens only."""
    model, hole = built(marks_hole=True, attention="full"), holes(4)
    tokens = codes(1)
    assert not torch.equal(model(tokens, hole), model(tokens, ~hole))
    model.hole_embedding.zero_()
    assert torch.equal(model(tokens, hole), model(tokens, ~hole))


def test_a_hint_is_first_read_as_the_code_it_names():
    """Catches an initial state in which hints are noise, to be learnt code by code."""
    torch.manual_seed(0)
    model = MaskedTransformer(replace(TINY, hints=True, norm="pre")).eval()
    hole, positions = holes(N), torch.arange(N)[None]
    tokens, hints = torch.full((1, N), MASK), a_hint(1)
    blank = model.token_embedding.weight[MASK] + model.position_embedding.weight
    read = model.embed(tokens, model.embed_position(positions, hole), hints)[0] - blank
    nearest = torch.cdist(read, model.token_embedding.weight).argmin(1)
    assert torch.equal(nearest, hints.tokens[0])


@pytest.mark.parametrize("positions", ["learned", "rotary", "both"])
def test_places_matter(positions):
    """Catches positions that are never added: the picture would be a bag of tokens."""
    model = built(positions=positions)
    assert (model.position_embedding is None) == (positions == "rotary")
    hole, order = holes(0), torch.randperm(N, generator=generator())
    tokens = codes(1)
    assert not torch.allclose(model(tokens, hole)[order], model(tokens[:, order], hole), atol=1e-3)


def test_rotary_positions_alone_know_no_absolute_place():
    """Catches angles that depend on more than the offset: a grid of one code looks alike everywhere."""
    model, hole = built(positions="rotary"), holes(0)
    logits = model(torch.full((1, N), 3), hole)
    torch.testing.assert_close(logits, logits[:1].expand_as(logits), atol=1e-5, rtol=0)


def test_norm_before_or_after():
    """Catches `post` computed as `pre`: the coursework's model would be another one."""
    hole, tokens, x = holes(0), codes(1), torch.randn(1, N, TINY.dim, generator=generator())
    pre, post = built(norm="pre"), built(norm="post")
    for model in (pre, post):
        for name, parameter in model.blocks[0].named_parameters():
            parameter.copy_(torch.full_like(parameter, float("norm" in name and name.endswith("weight"))))
    # With projections at zero, a block with the norm before is the identity; one with it after normalises.
    assert torch.equal(pre.blocks[0](x), x)
    torch.testing.assert_close(post.blocks[0](x), nn.functional.layer_norm(x, (TINY.dim,)), atol=1e-4, rtol=0)
    assert isinstance(pre.final_norm, nn.LayerNorm)
    assert isinstance(post.embedding_norm, nn.LayerNorm)
    assert not isinstance(post.final_norm, nn.LayerNorm)
    assert pre(tokens, hole).shape == post(tokens, hole).shape


def test_logits_of_wanted_tokens_come_in_row_major_order():
    """Catches logits given to the wrong tokens: the loss would compare each with another's target; and
    numbers of tokens that mean others than the mask does."""
    model, hole = built(), holes(6, 0, N)
    tokens, masked = midway(hole, 0.5)
    everything = model(tokens, hole)
    assert everything.shape == (3 * N, TINY.codes)
    torch.testing.assert_close(
        model(tokens, hole, masked), everything.view(3, N, -1)[masked], atol=1e-5, rtol=0
    )
    numbers = masked.flatten().nonzero()[:, 0]
    assert torch.equal(model(tokens, hole, numbers), model(tokens, hole, masked))
    assert model(tokens, hole, torch.zeros_like(masked)).shape == (0, TINY.codes)


def test_head_runs_on_wanted_tokens_only():
    """Catches a head that computes all logits and throws most of them away."""
    model, hole, rows = built(), holes(6, 2), []
    tokens, masked = midway(hole, 1.0)
    model.head.register_forward_hook(lambda _, inputs, output: rows.append(len(inputs[0])))
    model(tokens, hole, masked)
    assert rows == [8]


def test_logits_are_tied_to_the_codes_embeddings():
    """Catches columns shifted by one: every code would be taken for its neighbour."""
    model, hole, tokens = built(), holes(0), torch.zeros(1, N, dtype=torch.long)
    before = model(tokens, hole)
    model.token_embedding.weight[3] += 1
    assert ((model(tokens, hole) != before).any(0) == (torch.arange(TINY.codes) == 3)).all()
    model.token_embedding.weight[MASK] += 1
    assert ((model(tokens, hole) != before).any(0) == (torch.arange(TINY.codes) == 3)).all()


def test_dropout_is_for_training_only():
    """Catches fills that differ from call to call."""
    model, hole = built(dropout=0.5), holes(6)
    tokens, masked = midway(hole, 1.0)
    assert torch.equal(model(tokens, hole, masked), model(tokens, hole, masked))
    model.train()
    assert not torch.equal(model(tokens, hole, masked), model(tokens, hole, masked))


def test_gradient_reaches_all_weights():
    """Catches a weight that is never used: it would be shipped, and stay at its initial value."""
    model, hole = built(**KINDS["pre, both, marked, hints"]).requires_grad_(True), holes(6, 3)
    tokens, masked = midway(hole, 0.5)
    model(tokens, hole, masked, a_hint(2)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("key.bias"):  # which softmax takes away again, unless keys are turned
            assert parameter.grad.abs().max() > 0, name


def test_start_from_codebook_keeps_neighbours():
    """Catches embeddings that ignore the codebook or have another scale, and a mask token that is lost."""
    model = MaskedTransformer(replace(TINY, codes=64, dim=32))
    book = torch.randn(64, 8, generator=generator())
    book[1] = book[0]
    mask = model.token_embedding.weight[64].clone()
    model.init_from_codebook(book)
    weight = model.token_embedding.weight.detach()
    assert torch.equal(weight[64], mask)
    torch.testing.assert_close(weight[0], weight[1])
    assert float(weight[:64].std()) == pytest.approx(0.02, rel=0.05)
    far, near = torch.cdist(book, book), torch.cdist(weight[:64], weight[:64])
    assert torch.corrcoef(torch.stack([far.flatten(), near.flatten()]))[0, 1] > 0.8


def test_report_preset_is_the_reports():
    """Catches a preset that departs from the coursework: its results could not be compared."""
    config = coursework_config()
    with torch.device("meta"):
        shapes = {name: tuple(v.shape) for name, v in MaskedTransformer(config).state_dict().items()}
    assert (config.tokens, config.mask_id) == (256, 1024)
    assert (config.heads, config.norm, config.positions, config.attention) == (16, "post", "learned", "full")
    assert shapes["token_embedding.weight"] == (1025, 768)
    assert shapes["position_embedding.weight"] == (256, 768)
    assert sum(name.endswith("attention.query.weight") for name in shapes) == 15
    for part in ("query", "key", "value", "out"):
        assert shapes[f"blocks.14.attention.{part}.weight"] == (768, 768)
    assert shapes["blocks.14.mlp.0.weight"] == (1536, 768)
    assert shapes["blocks.14.mlp.2.weight"] == (768, 1536)
    assert shapes["bias"] == (1024,)


@pytest.mark.parametrize("config", [coursework_config(), small_config(grid=8, codes=512), TINY])
def test_configs_go_round(config):
    """Catches a setting that is lost on the way to config.json and back."""
    assert from_dict(TransformerConfig, to_dict(config)) == config


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "heads = 3 does not divide dim = 16: choose"),
        ({"heads": 0}, "heads = 0: choose at least 1"),
        ({"codes": 0}, "codes = 0: choose at least 1"),
        ({"layers": -1}, "layers = -1: choose at least 1"),
        ({"positions": "rotary", "heads": 8}, "positions = 'rotary' with dim / heads = 2: .*divisible by 4"),
        ({"dropout": 1.0}, "dropout = 1.0: choose"),
        ({"norm_eps": 0.0}, "norm_eps = 0.0: choose a small number above 0"),
        ({"norm": "before"}, "norm = 'before': choose one of 'pre', 'post'"),
        ({"positions": "sine"}, "positions = 'sine': choose one of 'learned', 'rotary', 'both'"),
        ({"attention": "contxt"}, "attention = 'contxt': choose one of 'full', 'prefix'"),
    ],
)
def test_impossible_settings_are_named(changes, message):
    """Catches settings that would be taken for another one silently: `contxt` used to mean `full`."""
    with pytest.raises(ConfigError, match=message):
        replace(TINY, **changes)


def hinted(attention: str) -> tuple[MaskedTransformer, torch.Tensor, torch.Tensor, torch.Tensor, Hints]:
    config = TransformerConfig(
        codes=24, grid=4, dim=16, heads=2, layers=2, mlp=32, attention=attention, hints=True, dropout=0.0
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = MaskedTransformer(config).eval()
        for parameter in model.parameters():
            parameter.data = parameter.data + 0.3 * torch.randn_like(parameter)
        seen, missing = torch.randint(0, 24, (5, 16)), torch.rand(5, 16)
        hole = torch.rand(5, 16) < 0.5
        hole[0], hole[1] = False, True
        hidden = hole & (torch.rand(5, 16) < 0.6)
    return model, torch.where(hidden, config.mask_id, seen), hole, hidden, Hints(seen, missing)


@torch.no_grad()
@pytest.mark.parametrize("attention", ["full", "prefix"])
def test_hints_speak_at_hidden_tokens_only(attention: str) -> None:
    """Would catch a hint that overrules a known or already filled token."""
    model, tokens, hole, hidden, hints = hinted(attention)
    before = model(tokens, hole, hidden, hints)
    others = Hints(torch.where(hidden, hints.tokens, (hints.tokens + 1) % 24), hints.missing)
    torch.testing.assert_close(model(tokens, hole, hidden, others), before, atol=0, rtol=0)
    changed = Hints(torch.where(hidden, (hints.tokens + 1) % 24, hints.tokens), hints.missing)
    assert (model(tokens, hole, hidden, changed) - before).abs().max() > 1e-3
    less = Hints(hints.tokens, hints.missing * 0.5)
    assert (model(tokens, hole, hidden, less) - before).abs().max() > 1e-3


def test_a_model_with_hints_says_so_when_there_are_none() -> None:
    model, tokens, hole, hidden, _ = hinted("full")
    with pytest.raises(ConfigError, match="hints"):
        model(tokens, hole, hidden)
