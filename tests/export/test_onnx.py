"""Exported graphs against the models they came from, at other sizes than they were exported with."""

import json

import jaxtyping
import numpy as np
import onnxruntime
import pytest
import torch

from exported import KINDS, exported
from fakes import CODES, smooth_pixels, tiny_models
from maskmend.errors import ConfigError, ModelError
from maskmend.export import onnx as onnx_export
from maskmend.export.onnx import export_onnx
from maskmend.models.known_encoder import KnownPixels
from maskmend.models.transformer import Hints
from maskmend.pipeline import InpaintPipeline

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=KINDS)
def graphs(request):
    """A pipeline and a function that runs its graphs."""
    pipe, folder = exported(request.param)

    def run(name, **inputs):
        session = onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        wanted = {given.name for given in session.get_inputs()}
        feed = {n: v.numpy() for n, v in inputs.items() if n in wanted}
        return [torch.from_numpy(out) for out in session.run(None, feed)]

    return pipe, run, folder


@torch.no_grad()
@pytest.mark.parametrize("batch", [1, 3])
def test_encoder_and_decoder(graphs, batch):
    """Catches a batch that is frozen into the graph, and tokens that are not the tokenizer's."""
    pipe, run, _ = graphs
    pixels = np.stack([smooth_pixels(16, 16, seed) for seed in range(batch)])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    (tokens,) = run("encoder", image=images)
    assert torch.equal(tokens, pipe.tokenizer.encode(images))
    mask = torch.zeros(batch, 1, 16, 16, dtype=torch.bool)
    (drawn,) = run("decoder", tokens=tokens, image=images, mask=mask)
    torch.testing.assert_close(
        drawn, pipe.tokenizer.decode(tokens, KnownPixels(images, mask)), atol=1e-4, rtol=0
    )


@torch.no_grad()
@pytest.mark.parametrize("holes", [(3,), (16,), (2, 9)], ids=str)
def test_prefill_and_step(graphs, holes):
    """Catches sizes that are frozen, padding that is seen, and hints or turns of other positions."""
    pipe, run, _ = graphs
    model, batch = pipe.transformer, len(holes)
    generator = torch.Generator().manual_seed(0)
    seen = torch.randint(CODES, (batch, 16), generator=generator)
    hole = torch.rand(batch, 16, generator=generator).argsort(1) < torch.tensor(holes)[:, None]
    masked = hole & (torch.rand(batch, 16, generator=generator) < 0.7)
    hints = Hints(seen, torch.rand(batch, 16, generator=generator))
    tokens = torch.where(masked, CODES, seen)
    rows = hole if model.config.attention == "prefix" else torch.ones_like(hole)
    known_at, known = packed(~rows)
    at, valid = packed(rows)
    layers, heads = model.config.layers, model.config.heads
    keys = values = torch.zeros(layers, batch, heads, 0, model.config.dim // heads)
    if known_at.shape[1]:
        keys, values = run("prefill", tokens=tokens.gather(1, known_at), positions=known_at, valid=known)
    asked = (masked.gather(1, at) & valid).flatten().nonzero()[:, 0]
    (logits,) = run(
        "step", tokens=tokens.gather(1, at), positions=at, valid=valid, hole=hole.gather(1, at),
        hint=seen.gather(1, at), missing=hints.missing.gather(1, at), keys=keys, values=values, known=known,
        asked=asked,
    )  # fmt: skip
    torch.testing.assert_close(logits, model(tokens, hole, masked, hints), atol=1e-3, rtol=1e-3)


def packed(chosen):
    """Positions of each row's chosen tokens, padded to the longest, and which are no padding."""
    counts = chosen.sum(1)
    order = (~chosen).to(torch.uint8).argsort(dim=1, stable=True)[:, : int(counts.max())]
    return order, torch.arange(order.shape[1]) < counts[:, None]


def test_model_json_tells_what_a_program_needs(graphs):
    """Catches a number that a program in another language would have to guess."""
    pipe, _, folder = graphs
    about = json.loads((folder / "model.json").read_text())
    assert about["mask_id"] == about["codes"] == CODES
    assert (about["grid"], about["factor"], about["resolution"]) == (4, 4, 16)
    assert about["defaults"]["steps"] == pipe.defaults.steps


def test_a_graph_of_one_batch_is_not_written(tmp_path, monkeypatch):
    """Catches a size that the exporter froze, found out by whoever fills more holes at once than it was made
    with."""

    class Frozen(onnx_export.DecoderGraph):
        def forward(self, tokens):
            return super().forward(tokens) + torch.zeros(len(tokens), 1, 1, 1)

    monkeypatch.setattr(onnx_export, "DecoderGraph", Frozen)
    whole = onnx_export._exported
    monkeypatch.setattr(
        onnx_export, "_exported", lambda *given: whole(*given) if isinstance(given[0], Frozen) else b""
    )
    check = onnx_export._check
    monkeypatch.setattr(onnx_export, "_check", lambda name, *rest: name == "decoder" and check(name, *rest))
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ModelError, match="the exported decoder fails with another batch size"):
        export_onnx(InpaintPipeline(*tiny_models(sees_known=False)), tmp_path / "graphs")
    assert not (tmp_path / "graphs").exists()


def test_the_pipeline_stays_as_it_is(tmp_path, monkeypatch):
    """Catches an export that leaves its caller a pipeline of another format, or on another device."""
    formats = []

    def exported(graph, *_):
        formats.extend(p.dtype for p in graph.parameters())
        return b""

    monkeypatch.setattr("maskmend.export.onnx._exported", exported)
    monkeypatch.setattr("maskmend.export.onnx._check", lambda *_: None)
    tokenizer, transformer = tiny_models()
    pipe = InpaintPipeline(tokenizer, transformer.bfloat16())
    export_onnx(pipe, tmp_path)
    assert set(formats) == {torch.float32}
    assert {p.dtype for p in pipe.transformer.parameters()} == {torch.bfloat16}
    assert pipe.transformer is transformer


def test_without_onnx_the_extra_is_named(tiny_pipeline, tmp_path, monkeypatch):
    """Catches a traceback instead of what to install."""
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"'\.\[onnx\]'"):
        export_onnx(tiny_pipeline, tmp_path)
