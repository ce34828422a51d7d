"""The peers, run one at a time at `maskmend bench`'s word, in an environment of their own (see build.py).

Reads one line of JSON with the sizes, answers with the names of what it can run; then for each name it reads
it runs that once and answers with the seconds. All token models have random weights of the same width, depth,
heads, feed-forward width and codes as ours, and decode the same hole in the same number of steps without
guidance; text, which they were made for, is one token of zeros.
"""

import json
import math
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
Work = Callable[[], object]


def amused(sizes: dict[str, Any]) -> Work:
    """diffusers' UVit2DModel with its own scheduler, as its inpainting pipeline calls them."""
    from diffusers.models.unets.uvit_2d import UVit2DModel
    from diffusers.schedulers.scheduling_amused import AmusedScheduler

    dim, side, codes = sizes["dim"], sizes["grid"], sizes["codes"]
    model = UVit2DModel(
        hidden_size=dim, cond_embed_dim=dim, micro_cond_encode_dim=32, micro_cond_embed_dim=160,
        encoder_hidden_size=dim, vocab_size=codes + 1, codebook_size=codes, in_channels=dim,
        block_out_channels=dim, num_res_blocks=1, block_num_heads=sizes["heads"],
        num_hidden_layers=sizes["layers"], num_attention_heads=sizes["heads"],
        intermediate_size=sizes["mlp"], sample_size=side,
    ).eval()  # fmt: skip
    scheduler = AmusedScheduler(mask_token_id=codes)
    tokens, hole = example(sizes)
    start = tokens.masked_fill(hole, codes).view(1, side, side)
    text, pooled, micro = torch.zeros(1, 1, dim), torch.zeros(1, dim), torch.zeros(1, 5)

    def run() -> None:
        scheduler.set_timesteps(sizes["steps"])
        sample = start
        for step in scheduler.timesteps:
            logits = model(sample, encoder_hidden_states=text, pooled_text_emb=pooled, micro_conds=micro)
            ratio = float(hole.float().mean())
            sample = scheduler.step(logits, step, sample, starting_mask_ratio=ratio).prev_sample

    return run


def muse(sizes: dict[str, Any]) -> Work:
    """muse-maskgit-pytorch's transformer in the loop of its MaskGit.generate, started from a hole."""
    # The package's first import wants a VQGAN, a text encoder and torchvision: empty modules do here.
    for name, contents in {
        "torchvision": {},
        "torchvision.transforms": {},
        "memory_efficient_attention_pytorch": {},
        "memory_efficient_attention_pytorch.flash_attention": {"FlashAttentionFunction": None},
        "muse_maskgit_pytorch": {"__path__": [str(HERE / "muse" / "muse_maskgit_pytorch")]},
        "muse_maskgit_pytorch.vqgan_vae": {"VQGanVAE": object},
        "muse_maskgit_pytorch.t5": {
            "t5_encode_text": print,
            "get_encoded_dim": lambda _: sizes["dim"],
            "DEFAULT_T5_NAME": "",
        },
    }.items():
        module = types.ModuleType(name)
        module.__dict__.update(contents)
        sys.modules[name] = module
    from muse_maskgit_pytorch.muse_maskgit_pytorch import Transformer

    dim, codes, steps = sizes["dim"], sizes["codes"], sizes["steps"]
    model = Transformer(
        num_tokens=codes, dim=dim, seq_len=sizes["grid"] ** 2, add_mask_id=True, depth=sizes["layers"],
        dim_head=dim // sizes["heads"], heads=sizes["heads"], ff_mult=sizes["mlp"] / dim, flash=False,
    ).eval()  # fmt: skip
    tokens, hole = example(sizes)
    text, count = torch.zeros(1, 1, dim), int(hole.sum())

    def run() -> None:
        ids = tokens
        scores = torch.where(hole, 1.0, -math.inf)
        for step in range(steps):
            masked = max(1, int(math.cos(step / steps * math.pi / 2) * count))
            chosen = scores.topk(masked, dim=-1).indices
            ids = ids.scatter(1, chosen, model.mask_id)
            logits = model(ids, text_embeds=text)
            noise = -torch.log(-torch.log(torch.rand_like(logits).clamp(1e-20, 1 - 1e-7)))
            drawn = (logits + noise).argmax(-1)
            hidden = ids == model.mask_id
            ids = torch.where(hidden, drawn, ids)
            sure = logits.softmax(-1).gather(2, drawn[..., None])[..., 0]
            scores = torch.where(hidden, 1 - sure, -math.inf)

    return run


def migan(sizes: dict[str, Any]) -> Work:
    """MI-GAN's whole pipeline; 255 is known."""
    import numpy
    import onnxruntime

    session = onnxruntime.InferenceSession(
        HERE / "migan_pipeline_v2.onnx", providers=["CPUExecutionProvider"]
    )
    side = sizes["resolution"]
    image, known = numpy.full((1, 3, side, side), 99, "uint8"), numpy.full((1, 1, side, side), 255, "uint8")
    edge = round(0.45 * side)
    known[:, :, side // 4 : side // 4 + edge, side // 4 : side // 4 + edge] = 0
    names = [given.name for given in session.get_inputs()]
    return lambda: session.run(None, {names[0]: image, names[1]: known})


def example(sizes: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    length = sizes["grid"] ** 2
    tokens = torch.randint(sizes["codes"], (1, length), generator=torch.Generator().manual_seed(0))
    return tokens, (torch.arange(length) < round(sizes["share"] / 100 * length))[None]


PEERS = {"aMUSEd (diffusers)": amused, "muse-maskgit-pytorch": muse, "MI-GAN (ONNX), whole fill": migan}


@torch.no_grad()
def main() -> None:
    # Their own words on standard output must not come between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    sizes = json.loads(sys.stdin.readline())
    torch.set_num_threads(sizes["threads"])
    ready: dict[str, Work] = {}
    failed: dict[str, str] = {}
    for name, make in PEERS.items():
        try:
            ready[name] = make(sizes)
            ready[name]()
        except Exception as error:  # another version of a peer: the others still run
            failed[name] = f"{type(error).__name__}: {error}"
    print(json.dumps({"ready": list(ready), "failed": failed}), file=answers, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        ready[json.loads(line)]()
        print(json.dumps(time.perf_counter() - start), file=answers, flush=True)


if __name__ == "__main__":
    main()
