"""The names of ImageNet's classes, on which most published models are conditioned."""

from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("imagenet_classes.txt")


@cache
def imagenet_names(labels: int) -> tuple[str, ...]:
    """Names of the 1,000 classes in their order, each "tabby, tabby cat"; none for another number of them."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    names = tuple(line for line in lines if not line.startswith("#"))
    return names if len(names) == labels else ()
