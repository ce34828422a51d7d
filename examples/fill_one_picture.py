"""Fill a hole in one picture.

    python examples/fill_one_picture.py photo.jpg mask.png out.png

White in the mask is filled. The result keeps the size, EXIF, colour profile and alpha of the photo, and its
known pixels bit for bit.
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
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default="default", help="a shipped name, a model folder, or a hub id")
    options = parser.parse_args()

    pipe = InpaintPipeline.from_pretrained(options.model)
    result = pipe(Image.open(options.image), Image.open(options.mask), seed=0)
    result.save(options.output)
    print(f"{options.output}: {result}")


if __name__ == "__main__":
    main()
