"""Benchmarks of the decoding loop: cost by hole size and steps, number formats, and the plain loop of the
coursework.

A *full pass* is one call of `MaskedTransformer.forward`: all tokens through all blocks, and logits at the
hole's tokens. A *fill* is the complete decoding of one picture: the pass over the known tokens, the pass of
each step, and sampling and selecting the tokens.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from maskmend.benchmark.reference import PlainTransformer, plain_decode
from maskmend.benchmark.timing import Case, clocked
from maskmend.decoding.interface import decode
from maskmend.decoding.mask_counts import mask_counts
from maskmend.decoding.schedules import schedule_named
from maskmend.inference.cached_transformer import InferenceTransformer
from maskmend.models.transformer import Hints, MaskedTransformer, TransformerConfig, coursework_config
from maskmend.models.vqgan import VQGAN

SHARES = (2, 5, 10, 20, 50, 100)
STEPS = (1, 2, 4, 8, 16, 32)
BATCH, BATCH_SHARES = 8, (5, 20, 100)
FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def work_of_pass(config: TransformerConfig, rows: int, logits: int) -> float:
    """Operations for `rows` tokens through all blocks, attending to the whole grid, and for the logits."""
    d, k = config.dim, config.tokens
    blocks = config.layers * rows * (4 * d * d + 2 * d * config.mlp + 2 * k * d)
    return 2.0 * (blocks + logits * d * (d + config.codes))


def work_of_fill(config: TransformerConfig, hole: int, steps: int) -> float:
    """Operations of a fill with `cached_transformer`, including the pass over the known tokens."""
    d, known = config.dim, config.tokens - hole
    block = 4 * d * d + 2 * d * config.mlp + 2 * known * d
    read = 2.0 * known * ((config.layers - 1) * block + 3 * d * d)
    masked = mask_counts(torch.tensor([hole]), steps, schedule_named("cosine"))[0].tolist()
    return read + sum(work_of_pass(config, hole, left) for left in masked if left)


def example(config: TransformerConfig, share: int, batch: int = 1) -> tuple[Tensor, Tensor, Hints]:
    """Random tokens of `batch` pictures with holes of `share` percent: rows of the grid, different ones for
    each picture, the first rows for the first picture."""
    codes = torch.randint(config.codes, (batch, config.tokens), generator=torch.Generator().manual_seed(0))
    first = torch.arange(batch)[:, None] * config.tokens // batch
    place = (torch.arange(config.tokens) - first) % config.tokens
    hole = place < max(1, round(share / 100 * config.tokens))
    return codes.masked_fill(hole, config.mask_id), hole, Hints(codes, hole.float())


def fill(ready: InferenceTransformer, share: int, steps: int, batch: int = 1) -> Callable[[], object]:
    """The complete decoding of `batch` pictures."""
    config = ready.model.config
    tokens, hole, hints = example(config, share, batch)
    grid = (config.grid, config.grid)

    @torch.inference_mode()
    def run() -> None:
        decode(
            ready.predictor(tokens, hole, hints), tokens, hole, mask_id=config.mask_id, grid=grid,
            steps=steps, noise=1.0, temperature=0.8,
        )  # fmt: skip

    return run


def full_pass(model: MaskedTransformer, share: int) -> Callable[[], object]:
    """One plain forward pass over all tokens, with logits at the hole."""
    tokens, hole, hints = example(model.config, share)

    @torch.inference_mode()
    def run() -> None:
        model(tokens, hole, hole, hints)

    return run


def decoding_cases(model: MaskedTransformer, tokenizer: VQGAN) -> list[Case]:
    """Fills by hole size, singly and in batches, and by steps; full passes, and the coursework's
    loop at the same size."""
    config, ready = model.config, InferenceTransformer(model)
    cases = []
    for share in SHARES:
        hole = int(example(config, share)[1].sum())
        work = work_of_pass(config, config.tokens, hole)
        name = f"hole {share} %"
        cases.append(
            Case(
                group="full pass",
                name=name,
                run=clocked(full_pass(model, share)),
                operations=work,
                ceiling="fp32",
                warm=True,
            )
        )
        work = work_of_fill(config, hole, 8)
        cases.append(
            Case(
                group="fill",
                name=name,
                run=clocked(fill(ready, share, 8)),
                operations=work,
                ceiling="fp32",
                warm=True,
            )
        )
    for share in BATCH_SHARES:
        hole = int(example(config, share)[1].sum())
        cases.append(
            Case(
                group="batch",
                name=f"hole {share} %",
                run=clocked(fill(ready, share, 8, BATCH)),
                operations=BATCH * work_of_fill(config, hole, 8),
                ceiling="fp32",
                every=2,
                warm=True,
            )
        )
    hole = int(example(config, 20)[1].sum())
    for steps in STEPS:
        work = work_of_fill(config, hole, steps)
        run = clocked(fill(ready, 20, steps))
        cases.append(
            Case(
                group="steps", name=f"{steps} steps", run=run, operations=work, ceiling="fp32", warm=True
            )
        )  # fmt: skip
    plain = PlainTransformer(config).eval().requires_grad_(False)
    tokens, hole, _ = example(config, 20)
    grid = config.grid

    @torch.inference_mode()
    def draw(tokens: Tensor) -> None:
        tokenizer.decode(tokens.view(1, grid, grid))

    for name, drawn in (
        ("coursework, full passes", None),
        ("coursework, full passes and a picture a step", draw),
    ):
        run = clocked(lambda drawn=drawn: plain_decode(plain, tokens, hole, 8, drawn))
        cases.append(Case(group="peers", name=name, run=run, every=2, warm=True))
    return cases


def format_cases(model: MaskedTransformer) -> list[Case]:
    """Fills of a 20 % hole in 8 steps in each number format, for this model and for one of the size of the
    coursework."""
    with torch.random.fork_rng(devices=[]):
        large = MaskedTransformer(coursework_config(attention="prefix", dropout=0.0)).eval()
    cases = []
    for size, this in (
        ("this model", model),
        ("the coursework's size", large.requires_grad_(False)),
    ):
        for name, dtype in FORMATS.items():
            ready = InferenceTransformer(this, dtype)
            work = work_of_fill(replace(this.config), int(example(this.config, 20)[1].sum()), 8)
            cases.append(
                Case(
                    group="formats", name=f"{size}, {name}", run=clocked(fill(ready, 20, 8)), operations=work,
                    ceiling=name, every=1 if this is model else 3, warm=True,
                )
            )  # fmt: skip
    return cases
