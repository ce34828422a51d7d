"""The names of ImageNet's classes, on which most published models are conditioned.

They are WordNet's, whose licence asks for its notice on every copy: it stands at the head of the file, in
`NOTICE`, and in the card of each model that the names are written into.
"""

from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("imagenet_classes.txt")


@cache
def imagenet_names(labels: int) -> tuple[str, ...]:
    """Names of the 1,000 classes in their order, each "tabby, tabby cat"; none for another number of them."""
    names = tuple(line for line in _lines() if not line.startswith("#"))
    return names if len(names) == labels else ()


def notice() -> str:
    """Where the names come from, and WordNet's licence: for whatever they are copied into."""
    lines = (line.removeprefix("#").removeprefix(" ") for line in _lines() if line.startswith("#"))
    return "\n".join(lines) + "\n"


def _lines() -> list[str]:
    return FILE.read_text(encoding="utf-8").splitlines()
