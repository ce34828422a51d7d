"""Which number format decodes: a rule that neither load nor luck decides."""

import pytest
import torch

from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.errors import ConfigError
from maskmend.inference import precision
from maskmend.inference.precision import decoding_dtype
from maskmend.models.transformer import coursework_config, small_config
from maskmend.pipeline import InpaintPipeline

CPU = torch.device("cpu")


@pytest.mark.parametrize("hardware", [True, False])
def test_auto_is_a_rule(monkeypatch, hardware):
    """Catches bfloat16 where it is emulated, or where calls and not products take the time."""
    monkeypatch.setattr(precision, "has_fast_bf16", lambda _: hardware)
    assert decoding_dtype("auto", small_config(), CPU) == torch.float32
    assert decoding_dtype("auto", coursework_config(), CPU) == (torch.bfloat16 if hardware else torch.float32)
    assert decoding_dtype("bf16", small_config(), CPU) == torch.bfloat16


def test_the_hardware_is_asked():
    """Catches names that this PyTorch does not know, and an answer that is no answer."""
    assert precision.has_fast_bf16(CPU) in (True, False)
    assert not precision.has_fast_bf16(torch.device("mps"))


def test_an_unknown_format_is_named(tiny_model):
    """Catches `fp16` taken for float32 in silence."""
    for make in (
        lambda: InpaintPipeline(*tiny_models(), precision="fp16"),
        lambda: InpaintPipeline.from_pretrained(tiny_model, precision="fp16"),
    ):
        with pytest.raises(ConfigError, match="precision = 'fp16': choose one of"):
            make()


def test_bf16_fills_and_keeps_the_weights(tiny_model):
    """Catches a pipeline that decodes in float32 all the same, or saves rounded weights."""
    pipe = InpaintPipeline.from_pretrained(tiny_model, precision="bf16")
    image, mask = smooth_pixels(16, 16), box_mask(16, 16, 3, 5, 11, 14)
    filled = pipe(image, mask).pictures[0].pixels
    assert (filled[~mask] == image[~mask]).all()
    assert pipe._ready().model.bias.dtype == torch.bfloat16
    assert pipe.transformer.bias.dtype == torch.float32
