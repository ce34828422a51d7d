"""Holds `maskmend convert amused` to diffusers and transformers themselves, at the published widths.

    pip install "diffusers==0.42.1" "transformers==5.24.0"
    python bench/amused_reference.py                  logits, tokens, pictures, with random weights
    python bench/amused_reference.py --layers 22      the published depth, and CPU seconds of a pass

Their modules are built with random weights, saved as diffusers saves them, converted, and both are run. The
tests hold the converter to a plain restatement instead, as diffusers takes seconds to import.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn


def build(side: int, layers: int, folder: Path) -> tuple[nn.Module, nn.Module, nn.Module]:
    """A UVit2DModel, a VQModel and a text encoder of the published widths, also written to `folder`."""
    from diffusers import AmusedScheduler, UVit2DModel, VQModel  # pyright: ignore
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection  # pyright: ignore

    halves, grid = side == 512, side // 16
    transformer = UVit2DModel(num_hidden_layers=layers, downsample=halves, upsample=halves, sample_size=grid)
    vqvae = VQModel(
        down_block_types=("DownEncoderBlock2D",) * 5,
        up_block_types=("UpDecoderBlock2D",) * 5,
        block_out_channels=(128, 256, 256, 512, 768),
        layers_per_block=2,
        latent_channels=64,
        num_vq_embeddings=8192,
        mid_block_add_attention=False,
        lookup_from_codebook=True,
    )
    words = {"vocab_size": 1024, "bos_token_id": 1022, "eos_token_id": 1023, "pad_token_id": 1023}
    text = CLIPTextModelWithProjection(
        CLIPTextConfig(
            hidden_size=768, intermediate_size=3072, num_hidden_layers=3, num_attention_heads=12,
            projection_dim=768, **words,
        )
    )  # fmt: skip
    for module in (transformer, vqvae, text):
        for name, weight in module.named_parameters():
            # As initialised, scales are 1 and the response's weights 0: mistakes in them would not show.
            if weight.ndim == 1 or "channelwise_norm" in name:
                weight.data.add_(0.2 * torch.randn_like(weight))
        module.eval().requires_grad_(False)
    vqvae.quantize.embedding.weight.data.normal_(0, 0.1)
    for part, module in (("transformer", transformer), ("vqvae", vqvae), ("text_encoder", text)):
        module.save_pretrained(folder / part)
    AmusedScheduler(mask_token_id=8255).save_pretrained(folder / "scheduler")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text(
        json.dumps({"<|startoftext|>": 1022, "<|endoftext|>": 1023})
    )
    (folder / "tokenizer" / "tokenizer_config.json").write_text("{}")
    return transformer, vqvae, text


def cpu_seconds(run: Callable[[], Tensor], repeats: int = 3) -> float:
    """The least CPU time of a call: other processes take wall time, and little of this."""
    found = []
    for _ in range(repeats):
        begun = time.process_time()
        run()
        found.append(time.process_time() - begun)
    return min(found)


@torch.inference_mode()
def compare(side: int, layers: int, folder: Path) -> dict[str, float]:
    from maskmend.importers.amused.convert import convert_amused
    from maskmend.models.uvit import UViT

    transformer, vqvae, text = build(side, layers, folder)
    made = convert_amused(folder)
    with torch.device("meta"):
        model = UViT(made.model.config)
    model.load_state_dict({name: make() for name, make in made.weights.items()}, assign=True)
    grid = side // 16

    words = torch.tensor([[1022] + [1023] * 76])
    encoded = text(words, output_hidden_states=True)
    micro = torch.tensor([[side, side, 0, 0, 6.0]])
    tokens = torch.randint(0, 8192, (1, grid, grid))
    hidden = torch.rand(tokens.shape) < 0.5

    def theirs() -> Tensor:
        return transformer(
            tokens.masked_fill(hidden, 8255), encoded.hidden_states[-2], encoded.text_embeds, micro
        )

    def ours() -> Tensor:
        return model(tokens.masked_fill(hidden, 8192).flatten(1), hidden.flatten(1))

    expected = theirs().permute(0, 2, 3, 1).flatten(0, 2)
    pixels = torch.rand(1, 3, side, side)
    latents = vqvae.encode(pixels).latents
    drawn = vqvae.quantize(latents)[2][2].view(1, grid, grid)
    picture = vqvae.decode(drawn, force_not_quantize=True, shape=(1, grid, grid, 64)).sample.clip(0, 1)
    return {
        "pixels": side,
        "layers": layers,
        "logits": float((ours() - expected).abs().max()),
        "of": float(expected.abs().max()),
        "tokens_equal": float((made.tokenizer.encode(2 * pixels - 1) == drawn).float().mean()),
        "codes_used": len(drawn.unique()),
        "pictures": float(((made.tokenizer.decode(drawn) + 1) / 2 - picture).abs().max()),
        "cpu_seconds_theirs": cpu_seconds(theirs),
        "cpu_seconds_ours": cpu_seconds(ours),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--layers", type=int, default=2, help="transformer layers; the published has 22")
    parser.add_argument("--pixels", type=int, nargs="+", default=[256, 512])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for side in arguments.pixels:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(compare(side, arguments.layers, Path(folder))))


if __name__ == "__main__":
    main()
