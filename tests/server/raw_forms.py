"""Forms as the bytes that a client sends."""

import fuzz_run
from server_parts import IMAGE_FILE, MASK_FILE


def multipart(image=IMAGE_FILE, mask=MASK_FILE, **fields):
    """A form as bytes, and its content type."""
    content, headers = fuzz_run.multipart(image, mask, **{name: str(value) for name, value in fields.items()})
    return content, headers["Content-Type"]
