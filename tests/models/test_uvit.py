"""aMUSEd's U-ViT: predictions, with and without a prompt, are those of the published arithmetic."""

import pytest
import torch

from converted_amused import RESIZED, SMALL, both_logits, converted
from maskmend.importers.amused.convert import convert_amused
from maskmend.models.uvit import UViT, amused_config
from restated_amused import Sizes, published, write_folder


@pytest.fixture(scope="module", params=[SMALL, RESIZED], ids=["256", "512"])
def case(request, tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("amused")
    return request.param, write_folder(folder, request.param), *converted(folder)


@torch.no_grad()
def test_logits_are_the_published_ones(case):
    """Any key in another's place, a norm without its scale, the wrong row for the mask: all would show."""
    sizes, parts, model, _ = case
    theirs, ours = both_logits(sizes, parts, model)
    assert theirs.std() > 0.3
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.slow
@torch.no_grad()
def test_logits_at_the_published_width_are_the_published_ones(tmp_path):
    """Heads, eps and sinusoids that fit the small sizes by chance."""
    torch.manual_seed(0)
    sizes = Sizes(**published())
    parts = write_folder(tmp_path, sizes)
    made = convert_amused(tmp_path)
    model = UViT(made.model.config)
    model.load_state_dict({name: make() for name, make in made.weights.items()})
    theirs, ours = both_logits(sizes, parts, model.eval())
    assert theirs.std() > 0.3
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_published_configs_have_the_published_numbers_of_weights():
    """A layer too many or one too narrow: 603.5 and 608.3 million, less what only prompts pass through."""
    counts = {}
    for side in (256, 512):
        with torch.device("meta"):
            model = UViT(amused_config(side))
        counts[side] = sum(weight.numel() for weight in model.parameters())
    inner, outer, layers, stages = 1024, 768, 22, 6
    prompt = inner * (outer + 1280) + inner**2 + inner * outer + inner
    prompt += layers * (3 * (2 * inner * inner + inner) + 2 * inner * inner)
    prompt += stages * (2 * outer * inner + outer * inner + 4 * outer * outer)
    unused = 63 * outer
    assert round((counts[256] + prompt + unused) / 1e6, 1) == 603.5
    assert round((counts[512] + prompt + unused) / 1e6, 1) == 608.3


@torch.no_grad()
def test_a_prompt_is_a_change_of_constants(case):
    """Constants laid out in another order than they are taken apart in, or kept after the call."""
    sizes, _, model, _ = case
    tokens = torch.randint(0, sizes.codes, (2, sizes.grid**2), generator=torch.Generator().manual_seed(3))
    hole = torch.ones_like(tokens, dtype=torch.bool)
    empty = dict(model.named_buffers())
    other = {name: value + 0.1 for name, value in empty.items()}
    before = model(tokens, hole)
    condition = torch.stack([model.pack(empty), model.pack(other)])
    found = model(tokens, hole, condition=condition).unflatten(0, (2, -1))
    torch.testing.assert_close(found[0], model(tokens[:1], hole[:1]), atol=1e-5, rtol=0)
    assert (found[1] - model(tokens[1:], hole[1:])).abs().max() > 0.01
    assert torch.equal(model(tokens, hole), before)
    changed = UViT(model.config)
    changed.load_state_dict(model.state_dict() | other)
    torch.testing.assert_close(found[1], changed(tokens[1:], hole[1:]), atol=1e-5, rtol=0)
