"""Fill one hole several times and keep the best.

    python examples/several_fills.py photo.jpg mask.png out/ --samples 4

Fills differ only by their seed: the same seed gives the same fill, in any batch. The log-likelihood is
the mean log-probability (in nats) of a token when it was kept; the higher, the more certain the model was.
"""

import argparse
from pathlib import Path

from PIL import Image

from maskmend import InpaintPipeline


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("output", type=Path, help="a folder")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--temperature", type=float, default=1.0, help="above 1: more varied, below 1: safer")
    parser.add_argument("--model", default="default")
    options = parser.parse_args()

    pipe = InpaintPipeline.from_pretrained(options.model)
    result = pipe(
        Image.open(options.image),
        Image.open(options.mask),
        samples=options.samples,
        seed=0,
        temperature=options.temperature,
    )
    options.output.mkdir(parents=True, exist_ok=True)
    for sample, (seed, likelihood) in enumerate(zip(result.seeds, result.log_likelihood, strict=True)):
        path = options.output / f"seed-{seed}.png"
        result.save(path, sample)
        chosen = "  <- best" if sample == result.best else ""
        print(f"{path}  {likelihood:.3f} nats{chosen}")


if __name__ == "__main__":
    main()
