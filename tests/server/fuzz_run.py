"""Sends a running server files that are broken in every way that chance finds, and says how it took them.

    maskmend serve --port 8765 &
    python tests/server/fuzz_run.py http://127.0.0.1:8765 --requests 5000

A broken file must be refused with a 4xx and a JSON error, or be filled where the damage does no harm;
anything else (a 5xx, an answer that is no JSON, a connection that ends) is a finding, kept as a file. So is
an answer that takes longer than `--patience`: every fiftieth request asks for as much as its bytes can
(frames without end, thousands of scans, strips or chunks, a million keys of JSON).
Standard library, NumPy and Pillow.
"""

import argparse
import http.client
import io
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from PIL import Image

from crafted_files import chunks, comment, deep, moving, numbers, packet, pages, scans, strips, tile

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")


def seeds(rng: np.random.Generator) -> list[bytes]:
    """Intact files of every format and colour mode that is read, and of some that are not."""
    size = (int(rng.integers(1, 40)), int(rng.integers(1, 40)))
    noise = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8), "RGBA")
    files = []
    for kind in FORMATS:
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"):
            content = io.BytesIO()
            options = {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"}
            options["icc_profile"] = bytes(rng.integers(0, 256, 60, dtype=np.uint8))
            try:
                picture = noise.convert("L").convert(mode) if mode == "I;16" else noise.convert(mode)
                picture.save(content, kind, **options)
            except (OSError, ValueError, KeyError):
                continue
            files.append(content.getvalue())
    return files


def demanding(rng: np.random.Generator) -> list[bytes]:
    """Files that ask for much more than their size."""
    count = int(rng.integers(100, 20_000))
    return [
        pages(count), strips(512, count), scans(count // 10), chunks(10 * count), comment(count),
        comment(count, behind=True), deep(int(rng.integers(1, 300))),
        tile(count), packet(b"<xmp:Thumbnails " * count),
        *(numbers(50 * count, where=where) for where in ("depths", "resolution", "EXIF", "within EXIF")),
        *(moving(kind) for kind in ("GIF", "PNG", "WEBP", "TIFF")),
    ]  # fmt: skip


def json_bodies(rng: np.random.Generator) -> list[bytes]:
    """JSON of many parts."""
    count = int(rng.integers(1000, 500_000))
    keys = ",".join(f'"{n}":{n % 9}' for n in range(count))
    return [
        f"{{{keys}}}".encode(), b'{"image":[' + b"0," * count + b"0]}", b"[" * count,
        b'{"image":"' + b"A" * count + b'","mask":{}}', b'{"a":' * count, b'"' * count,
    ]  # fmt: skip


def corrupted(rng: np.random.Generator, files: list[bytes]) -> bytes:
    """One of `files` with one to three kinds of damage."""
    data = bytearray(files[rng.integers(len(files))])
    for _ in range(rng.integers(1, 4)):
        if not data:
            break
        place = int(rng.integers(len(data)))
        head = int(rng.integers(min(len(data), 64)))
        kind = rng.integers(8)
        if kind == 0:  # a few bits
            for at in rng.integers(len(data), size=rng.integers(1, 9)):
                data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:  # the end is missing
            del data[place:]
        elif kind == 2:  # a piece is missing
            del data[place : place + int(rng.integers(1, 64))]
        elif kind == 3:  # a piece comes twice
            data[place:place] = data[place : place + int(rng.integers(1, 256))]
        elif kind == 4:  # noise within
            data[place : place + 16] = bytes(rng.integers(0, 256, 16, dtype=np.uint8))
        elif kind == 5:  # extreme numbers, in the head
            data[head : head + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\x80"])
        elif kind == 6:  # another file behind or inside it
            data[place:] = files[rng.integers(len(files))][place:]
        else:  # the head of another kind
            data[:12] = files[rng.integers(len(files))][:12]
    return bytes(data)


def questions(rng: np.random.Generator, good: tuple[bytes, bytes]) -> Iterator[tuple[str, bytes, bytes]]:
    """(which part is broken, image, mask) without end."""
    while True:
        files = seeds(rng)
        for number in range(200):
            greedy = demanding(rng) if number % 50 == 0 else []
            broken = greedy[rng.integers(len(greedy))] if greedy else corrupted(rng, files)
            which = ("image", "mask", "both")[rng.integers(3)]
            yield which, broken if which != "mask" else good[0], broken if which != "image" else good[1]


def multipart(image: bytes, mask: bytes | None, **fields: str) -> tuple[bytes, dict[str, str]]:
    """A form as bytes, and its headers."""
    parts = [
        f'--limit-of-parts\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n\r\n'.encode()
        + content
        for name, content in (("image", image), ("mask", mask))
        if content is not None
    ]
    parts += [
        f'--limit-of-parts\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, value in fields.items()
    ]
    body = b"\r\n".join([*parts, b"--limit-of-parts--\r\n"])
    return body, {"Content-Type": "multipart/form-data; boundary=limit-of-parts"}


def finding(status: int, kind: str, content: bytes) -> str | None:
    """What is wrong with an answer, if anything."""
    if status == 200:
        return None if kind == "image/png" else f"200 of type {kind}"
    if not 400 <= status < 500:
        return f"status {status}"
    try:
        error = json.loads(content)["error"]
        return None if error["code"] and error["message"] else "an empty error"
    except (ValueError, KeyError, TypeError):
        return f"status {status} without a JSON error"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=float, default=30.0, help="seconds for one answer, at most")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="folder for what was found")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    ramp = np.linspace(0, 255, 32 * 32 * 3).reshape(32, 32, 3).astype(np.uint8)
    hole = np.zeros((32, 32), np.uint8)
    hole[8:20, 8:20] = 255
    good = (_png(ramp), _png(hole))
    connection = http.client.HTTPConnection(urlsplit(given.url).netloc, timeout=60)

    def ask(image: bytes, mask: bytes) -> tuple[int, str, bytes]:
        return send(*multipart(image, mask, steps="1", fit_mask="true"))

    def send(body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        began = time.monotonic()
        try:
            connection.request("POST", "/v1/inpaint", body, headers)
            answer = connection.getresponse()
            told = answer.status, answer.getheader("Content-Type", ""), answer.read()
            spent = time.monotonic() - began
            return told if spent <= given.patience else (0, "", f"after {spent:.0f} s".encode())
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            return 0, "", str(error).encode()

    wanted = ask(*good)
    if wanted[0] != 200:
        print(f"the server does not fill an intact picture: {wanted}")
        return 2
    statuses: Counter[str] = Counter()
    findings = wrong = 0
    source = questions(rng, good)
    for number in range(1, given.requests + 1):
        which, image, mask = next(source)
        status, kind, content = ask(image, mask)
        found = finding(status, kind, content)
        code = "" if status == 200 or found else f" {json.loads(content)['error']['code']}"
        statuses[f"{status}{code}"] += 1
        if found:
            findings += 1
            given.keep.mkdir(exist_ok=True)
            (given.keep / f"{number}-{which}").write_bytes(mask if which == "mask" else image)
            print(f"{number}: {which} broken: {found}: {content[:200]!r}")
        if number % 100 == 50:
            bodies = json_bodies(rng)
            body = bodies[rng.integers(len(bodies))]
            answer = send(body, {"Content-Type": "application/json"})
            if found := finding(*answer):
                findings += 1
                given.keep.mkdir(exist_ok=True)
                (given.keep / f"{number}-json").write_bytes(body)
                print(f"{number}: JSON: {found}: {answer[2][:200]!r}")
            statuses[f"{answer[0]} JSON"] += 1
        if number % 100 == 0 and ask(*good) != wanted:
            wrong += 1
            print(f"{number}: an intact picture is not filled as before")
    print(
        json.dumps(
            {"requests": given.requests, "answers": dict(statuses), "findings": findings, "wrong": wrong}
        )
    )
    return 1 if findings or wrong else 0


def _png(levels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(levels).save(content, "PNG")
    return content.getvalue()


if __name__ == "__main__":
    sys.exit(main())
