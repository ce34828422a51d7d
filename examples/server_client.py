"""Ask a running server for a fill, with Python's standard library alone.

maskmend serve                                                       # in another terminal
python examples/server_client.py photo.jpg mask.png out.png
"""

import argparse
import base64
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--server", default="http://127.0.0.1:8765")
    parser.add_argument("--samples", type=int, default=1)
    options = parser.parse_args()

    question = {
        "image": base64.b64encode(options.image.read_bytes()).decode(),
        "mask": base64.b64encode(options.mask.read_bytes()).decode(),
        "samples": options.samples,
        "seed": 0,
    }
    headers = {"Content-Type": "application/json", "Accept": "image/png"}
    if token := os.environ.get("MASKMEND_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(
        f"{options.server}/v1/inpaint", data=json.dumps(question).encode(), headers=headers
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            options.output.write_bytes(answer.read())
    except urllib.error.HTTPError as error:  # errors are JSON with a readable message
        sys.exit(f"the server refused: {json.load(error)['error']['message']}")
    except urllib.error.URLError as error:
        sys.exit(f"no server at {options.server} ({error.reason}): start one with maskmend serve")
    print(f"{options.output}: {options.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
