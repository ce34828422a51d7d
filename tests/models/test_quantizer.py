"""The quantizer: nearest codes, straight-through gradient, both ways of learning, the codebook's figures."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmend.errors import ConfigError
from maskmend.models.quantizer import QuantizerConfig, VectorQuantizer, codebook_statistics


def quantizer(codebook, *, training=False, **options):
    """A quantizer that has started already, with this codebook."""
    codebook = torch.as_tensor(codebook, dtype=torch.float32)
    made = VectorQuantizer(QuantizerConfig(codes=codebook.shape[0], code_dim=codebook.shape[1], **options))
    with torch.no_grad():
        made.codebook.copy_(codebook)
    made.embed_avg.copy_(codebook)
    made.initialised = True
    return made.train(training)


def latents(vectors):
    """(M, C) vectors as one row of a feature map (1, C, 1, M)."""
    return torch.as_tensor(vectors, dtype=torch.float32).T[None, :, None]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


@settings(deadline=None)
@given(seed=st.integers(0, 2**31), codes=st.integers(2, 9), width=st.integers(1, 5))
def test_nearest_code_is_the_nearest(seed, codes, width):
    """Catches a distance that forgets a term, or tokens that come out in another order than the positions."""
    g = generator(seed)
    book = torch.randint(-5, 6, (codes, width), generator=g).float()  # integers: distances are exact
    z = torch.randint(-5, 6, (2, width, 3, 4), generator=g).float()
    tokens = quantizer(book)(z).tokens
    assert tokens.shape == (2, 3, 4)
    assert tokens.dtype == torch.int64
    distance = (z[:, None] - book[None, :, :, None, None]).square().sum(2)  # (B, K, h, w)
    torch.testing.assert_close(distance.gather(1, tokens[:, None])[:, 0], distance.amin(1))


def test_vectors_are_the_codes_and_lookup_finds_them_again():
    """Catches codes laid out with channels and positions exchanged: decoding would see another picture."""
    made, z = quantizer(normal(7, 4)), normal(2, 4, 3, 5, seed=1)
    quantized = made(z)
    assert quantized.vectors.shape == z.shape
    torch.testing.assert_close(quantized.vectors, made.lookup(quantized.tokens))
    assert torch.equal(made.lookup(quantized.tokens)[1, :, 2, 4], made.codebook[quantized.tokens[1, 2, 4]])


def test_straight_through_gradient_is_the_identity():
    """Catches a gradient that is lost at, or scaled by, the quantizer: the encoder would not learn."""
    z, weight = normal(2, 4, 3, 5).requires_grad_(), normal(2, 4, 3, 5, seed=1)
    (quantizer(normal(7, 4))(z).vectors * weight).sum().backward()
    torch.testing.assert_close(z.grad, weight)


@pytest.mark.parametrize(("update", "loss"), [("ema", 0.25 * 2.5), ("gradient", 1.25 * 2.5)])
def test_loss_on_paper(update, loss):
    """Catches a commitment loss without its weight, summed instead of averaged, or counted in both modes."""
    made = quantizer([[0.0, 0.0], [10.0, 0.0]], update=update)
    z = latents([[1.0, 0.0], [10.0, 3.0]])  # squared distances 1 and 9: their mean over four channels is 2.5
    assert float(made(z).loss.detach()) == pytest.approx(loss)


def test_each_side_of_the_loss_moves_one_side_only():
    """Catches a missing stop-gradient: the codebook would chase the encoder with the wrong weight."""
    book = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    made, z = quantizer(book, update="gradient", commitment=0.25), latents([[1.0, 0.0]]).requires_grad_()
    made(z).loss.backward()
    torch.testing.assert_close(z.grad, 0.25 * latents([[1.0, 0.0]]))  # beta 2 (z - e) / 2 channels
    torch.testing.assert_close(made.codebook.grad, torch.tensor([[-1.0, 0.0], [0.0, 0.0]]))


def test_gradient_mode_trains_the_codebook():
    """Catches a codebook that the optimizer does not see, or that moves by itself in this mode."""
    made = quantizer([[0.0, 0.0], [10.0, 10.0]], training=True, update="gradient")
    z = latents([[1.0, 2.0], [3.0, 2.0]])
    optimizer = torch.optim.SGD(made.parameters(), lr=0.5)
    before = made.codebook.detach().clone()
    for _ in range(40):
        optimizer.zero_grad()
        loss = made(z).loss
        assert torch.equal(before, made.codebook.detach())
        loss.backward()
        optimizer.step()
        before = made.codebook.detach().clone()
    torch.testing.assert_close(before[0], torch.tensor([2.0, 2.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(before[1], torch.tensor([10.0, 10.0]))


def test_moving_average_of_one_step_on_paper():
    """Catches a decay that is applied the wrong way round, or to the mean instead of sum and count."""
    made = quantizer([[0.0], [8.0]], training=True, decay=0.75, revive_below=0.0)
    made(latents([[1.0], [2.0], [3.0], [10.0]]))
    # Two codes, four vectors: each counts a half. Uses 3/2, 1/2, sums 6/2, 10/2, then 3/4 old + 1/4 new.
    use = torch.tensor([0.75 + 0.25 * 1.5, 0.75 + 0.25 * 0.5])
    total = torch.tensor([[0.25 * 3.0], [0.75 * 8.0 + 0.25 * 5.0]])
    torch.testing.assert_close(made.cluster_size, use)
    torch.testing.assert_close(made.codebook, total / use[:, None])


def test_moving_average_brings_a_code_to_the_mean_of_its_vectors():
    """Catches an average that settles elsewhere than k-means would."""
    made = quantizer([[0.0, 0.0], [9.0, 9.0]], training=True, decay=0.5, revive_below=0.0)
    for _ in range(40):
        made(latents([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0], [8.0, 10.0]]))
    torch.testing.assert_close(made.codebook, torch.tensor([[1.0, 1.0], [8.0, 10.0]]), atol=1e-4, rtol=0)


def test_moving_average_does_not_depend_on_the_batch_size():
    """Catches statistics that grow with the batch: decay and revival would mean something else for each."""
    once, twice = (quantizer(normal(5, 3), training=True) for _ in range(2))
    vectors = normal(12, 3, seed=1)
    for _ in range(3):
        once(latents(vectors), generator())
        twice(latents(torch.cat([vectors, vectors])), generator())
    torch.testing.assert_close(once.cluster_size, twice.cluster_size)
    alive = once.cluster_size != 1
    assert alive.any()
    torch.testing.assert_close(once.codebook[alive], twice.codebook[alive])


def test_dead_codes_are_revived_on_vectors_of_the_batch():
    """Catches codes that nobody uses and nobody brings back: the codebook would shrink for good."""
    made = quantizer([[0.0], [1000.0], [-1000.0]], training=True, decay=0.5, revive_below=0.2)
    vectors = torch.tensor([[1.0], [2.0], [4.0]])
    for _ in range(2):
        made(latents(vectors), generator())
        assert made.codebook[1] > 500  # use 1/2, 1/4: unused, but not for long enough
    made(latents(vectors), generator())
    assert torch.isin(made.codebook[1:], vectors).all()
    assert torch.equal(made.cluster_size[1:], torch.ones(2))
    for _ in range(20):
        used = made(latents(vectors), generator()).tokens.unique()
    assert len(used) == 3


def test_used_codes_are_not_revived():
    """Catches revival of codes in use: tokens would change their meaning during training."""
    made = quantizer([[0.0], [10.0]], training=True, decay=0.5, revive_below=0.4)
    for seed in range(5):
        made(latents([[0.0], [10.0]]), generator(seed))
    torch.testing.assert_close(made.codebook, torch.tensor([[0.0], [10.0]]))


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_codebook_starts_on_vectors_of_the_first_batch_only(update):
    """Catches a codebook that starts on noise far from all latents, or that starts again each step."""
    made = VectorQuantizer(QuantizerConfig(codes=4, code_dim=1, update=update, revive_below=0.0)).train()
    made(latents([[5.0], [5.0], [5.0]]), generator())
    torch.testing.assert_close(made.codebook.detach(), torch.full((4, 1), 5.0))
    made(latents([[7.0]]), generator())
    assert made.codebook.max() < 6


def test_evaluation_changes_nothing():
    """Catches a codebook that learns from validation pictures."""
    made = VectorQuantizer(QuantizerConfig(codes=4, code_dim=2)).eval()
    before = {name: value.clone() for name, value in made.named_buffers()}
    made(normal(2, 2, 3, 3))
    for name, value in made.named_buffers():
        assert torch.equal(value, before[name]), name


def test_training_draws_from_the_given_generator_alone():
    """Catches picks from the global generator: a resumed run would not repeat itself."""

    def trained():
        made = VectorQuantizer(QuantizerConfig(codes=6, code_dim=2)).train()
        for step in range(3):
            made(normal(2, 2, 3, 3, seed=step), generator(step))
        return made.codebook

    state = torch.get_rng_state()
    first = trained()
    torch.manual_seed(99)
    assert torch.equal(first, trained())
    torch.set_rng_state(state)
    VectorQuantizer(QuantizerConfig(codes=6, code_dim=2)).train()(normal(2, 2, 3, 3), generator())
    after = torch.get_rng_state()
    torch.set_rng_state(state)
    VectorQuantizer(QuantizerConfig(codes=6, code_dim=2))  # its initial codes are all that is drawn
    assert torch.equal(after, torch.get_rng_state())


def test_training_state_goes_round():
    """Catches averages missing from a checkpoint: after resuming, the codebook would go another way."""
    made = VectorQuantizer(QuantizerConfig(codes=6, code_dim=2)).train()
    for step in range(3):
        made(normal(2, 2, 3, 3, seed=step), generator(step))
    resumed = VectorQuantizer(made.config).train()
    resumed.load_state_dict(made.state_dict())
    resumed.load_training_state({name: value.clone() for name, value in made.training_state().items()})
    for one in (made, resumed):
        one(normal(2, 2, 3, 3, seed=9), generator(9))
    assert torch.equal(made.codebook, resumed.codebook)
    assert torch.equal(made.cluster_size, resumed.cluster_size)


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_a_model_ships_the_codebook_alone(update):
    """Catches training averages in shipped weights, and weights that depend on how the codebook learned."""
    state = VectorQuantizer(QuantizerConfig(codes=6, code_dim=2, update=update)).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == {"codebook": (6, 2)}


@pytest.mark.parametrize(
    ("tokens", "used", "perplexity"),
    [
        ([3, 3, 3, 3], 1 / 8, 1.0),
        ([0, 1, 2, 3, 4, 5, 6, 7], 1.0, 8.0),
        ([[0, 1], [7, 0], [1, 7]], 3 / 8, 3.0),
        ([0, 0, 0, 5], 2 / 8, math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4))),
    ],
)
def test_codebook_statistics_on_paper(tokens, used, perplexity):
    """Catches an entropy in bits, or a perplexity over used codes only."""
    statistics = codebook_statistics(torch.tensor(tokens), 8)
    assert statistics == pytest.approx({"codebook_used": used, "perplexity": perplexity})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("codes", 1),
        ("code_dim", 0),
        ("update", "adam"),
        ("decay", 1.0),
        ("commitment", -1.0),
        ("revive_below", 1.5),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_impossible_settings_are_named(name, value):
    """Catches settings that would fail later, or never, with a message about tensors."""
    with pytest.raises(ConfigError, match=f"{name} ?= ?{value!r}.*choose"):
        QuantizerConfig(**{name: value})


def test_autocast_does_not_change_the_nearest_code():
    """Would catch a comparison of distances in bfloat16, which sends some vectors to another code."""
    quantizer = VectorQuantizer(QuantizerConfig(codes=256, code_dim=8)).eval()
    generator = torch.Generator().manual_seed(0)
    quantizer.codebook.copy_(torch.randn(256, 8, generator=generator))
    vectors = torch.randn(2000, 8, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        narrowed = quantizer.nearest(vectors)
    assert torch.equal(narrowed, quantizer.nearest(vectors))
