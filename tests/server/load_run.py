"""Many clients at a running server for some minutes: is every answer right, and does its memory stay flat?

    maskmend serve --port 8765 --places 16 &
    python tests/server/load_run.py http://127.0.0.1:8765 --minutes 5 --clients 24

Each case is first filled alone; after that every answer to it, whatever it was batched with, must be the same
to the bit. Among the clients are some that go away in the middle, some that send nonsense, and, where there
are more of them than places, some that are told to come back later and do. The exit status is 1 for a wrong
answer, a place that is still taken, and memory that grows faster than --most-growth. Standard library, NumPy
and Pillow.
"""

import argparse
import base64
import contextlib
import http.client
import io
import json
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from fuzz_run import multipart

BAD = ("status", "ended", "connection", "NONSENSE", "WRONG")
"""How outcomes begin that must not be."""
SAMPLES = Path(__file__).parents[2] / "src" / "maskmend" / "assets" / "samples"


class Case:
    """A picture, a mask and settings, and what the server made of them when it had nothing else to do."""

    def __init__(self, image: bytes, mask: bytes, fields: dict[str, str], name: str = "") -> None:
        self.name = f"{name} {fields}"
        self.body, self.headers = multipart(image, mask, **fields)
        with Image.open(io.BytesIO(image)) as source, Image.open(io.BytesIO(mask)) as hole:
            self.pixels, self.hole = np.asarray(source.convert("RGB")), np.asarray(hole.convert("L")) > 127
        self.wanted: list[np.ndarray] = []

    def wrong(self, fills: list[bytes]) -> str | None:
        """What is wrong with `fills`, if anything; the first ones ever seen are those wanted."""
        if not self.wanted:
            self.wanted = [_pixels(fill) for fill in fills]
        if len(fills) != len(self.wanted):
            return f"{len(fills)} fills instead of {len(self.wanted)}"
        for fill, wanted in zip(map(_pixels, fills), self.wanted, strict=True):
            if (fill[~self.hole] != self.pixels[~self.hole]).any():
                return "a known pixel has changed"
            if (fill != wanted).any():
                apart = np.abs(fill.astype(int) - wanted)
                return f"{(apart.max(2) > 0).sum()} pixels differ, by up to {apart.max()}: {self.name}"
        return None


def _pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def cases() -> list[Case]:
    """The shipped pictures, whole and within larger ones, with several settings."""
    made = []
    for number, path in enumerate(sorted(SAMPLES.glob("*[0-9].png"))):
        image, mask = path.read_bytes(), path.with_name(f"{path.stem}.mask.png").read_bytes()
        for seed in (0, 11):
            made.append(Case(image, mask, {"samples": "2", "seed": str(seed)}, path.stem))
        halton = {"samples": "1", "steps": "4", "order": "halton", "seed": str(number)}
        made.append(Case(image, mask, halton, path.stem))
        large, hole = Image.new("RGB", (300, 200), (90, 120, 150)), Image.new("L", (300, 200))
        large.paste(Image.open(path), (120, 70))
        hole.paste(Image.open(io.BytesIO(mask)).convert("L"), (120, 70))
        contents = [io.BytesIO(), io.BytesIO()]
        large.save(contents[0], "PNG")
        hole.save(contents[1], "PNG")
        image, mask = (content.getvalue() for content in contents)
        made.append(Case(image, mask, {"samples": "2", "seed": str(number)}, "large"))
    return made


class Run:
    def __init__(self, url: str) -> None:
        self.address = urlsplit(url).netloc
        self.counts: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.memory: list[tuple[float, float]] = []
        self.lock = threading.Lock()

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def ask(self, case: Case, accept: str) -> None:
        """One request and what came of it; waits as told when the server is busy."""
        connection = http.client.HTTPConnection(self.address, timeout=120)
        start = time.monotonic()
        try:
            connection.request("POST", "/v1/inpaint", case.body, case.headers | {"Accept": accept})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.count(f"connection: {type(error).__name__}")
            return
        finally:
            connection.close()
        if answer.status == 429:
            self.count("429, came back later")
            time.sleep(min(float(answer.getheader("Retry-After", "1")), 2) * random.random())
            return
        if answer.status != 200:
            self.count(f"status {answer.status}")
            return
        if accept == "application/json":
            fills = [base64.b64decode(fill["image"]) for fill in json.loads(content)["fills"]]
        else:
            events = [block.split("\ndata: ") for block in content.decode().strip().split("\n\n")]
            if events[-1][0] != "event: done":
                self.count(f"ended with {events[-1]}"[:200])
                return
            told = [json.loads(event[1]) for event in events if event[0] == "event: fill"]
            fills = [base64.b64decode(one["image"]) for one in told]
        with self.lock:
            self.seconds.append(time.monotonic() - start)
        wrong = case.wrong(fills)
        self.count("right" if wrong is None else "WRONG")
        if wrong is not None:
            print(f"{accept}: {wrong}", file=sys.stderr)

    def leave(self, case: Case) -> None:
        """A client that goes away before it is answered."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request(
                "POST", "/v1/inpaint", case.body, case.headers | {"Accept": "text/event-stream"}
            )
            time.sleep(random.random())
        connection.close()
        self.count("went away")

    def nonsense(self, case: Case) -> None:
        """A broken body, which must be refused."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("POST", "/v1/inpaint", case.body[: len(case.body) // 2], case.headers)
            status = connection.getresponse().status
            self.count("nonsense refused" if status in (400, 422, 429) else f"NONSENSE TAKEN {status}")
        connection.close()

    def client(self, chosen: list[Case], until: float, seed: int) -> None:
        rng = random.Random(seed)
        while time.monotonic() < until:
            case, dice = rng.choice(chosen), rng.random()
            if dice < 0.06:
                self.leave(case)
            elif dice < 0.12:
                self.nonsense(case)
            else:
                self.ask(case, rng.choice(["application/json", "text/event-stream"]))

    def metrics(self) -> dict[str, float]:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def watch(self, start: float, until: float) -> None:
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                memory = self.metrics()["process_resident_memory_bytes"]
                self.memory.append((time.monotonic() - start, memory / 2**20))
            time.sleep(2)


def slope(memory: list[tuple[float, float]]) -> float:
    """MiB a minute over the last half of (seconds, MiB): the first half fills caches. NaN for too few."""
    spent, sizes = np.array(memory).T
    late = spent >= spent[-1] / 2
    return float(np.polyfit(spent[late] / 60, sizes[late], 1)[0]) if late.sum() > 2 else float("nan")


def findings(run: Run, places_still_taken: int, most_growth: float) -> list[str]:
    """What must not be, in words."""
    bad = [f"{what}: {count}" for what, count in run.counts.items() if what.startswith(BAD)]
    if places_still_taken:
        bad.append(f"{places_still_taken} places are still taken")
    if not slope(run.memory) <= most_growth:  # nor a NaN, which says nothing
        bad.append(
            f"memory grew by {slope(run.memory):.1f} MiB a minute in the last half, more than {most_growth:g}"
        )
    return bad


def report(run: Run, minutes: float, clients: int) -> dict[str, object]:
    spent, memory = np.array(run.memory).T
    late = spent >= spent[-1] / 2
    after = run.metrics()
    batches = after["maskmend_batch_requests_count"]
    return {
        "minutes": minutes,
        "clients": clients,
        "answers": dict(sorted(run.counts.items())),
        "wrong": run.counts["WRONG"],
        "batches": int(batches),
        "requests_per_batch": round(after["maskmend_batch_requests_sum"] / max(batches, 1), 2),
        "seconds_median_and_95": [round(float(q), 2) for q in np.quantile(run.seconds or [0], (0.5, 0.95))],
        "memory_mib": {
            "start": round(float(memory[0])),
            "after_a_half": round(float(memory[late][0])),
            "end": round(float(memory[-1])),
            "most": round(float(memory.max())),
            "slope_per_minute": round(slope(run.memory), 2),
        },
        "places_still_taken": int(after["maskmend_places_taken"]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument(
        "--most-growth",
        type=float,
        default=10.0,
        help="MiB a minute by which memory may grow in the last half",
    )
    given = parser.parse_args()
    run, chosen = Run(given.url), cases()
    for case in chosen:
        run.ask(case, "application/json")
    if run.counts["right"] != len(chosen):
        print(f"the server does not fill all cases one by one: {dict(run.counts)}")
        return 2
    print(f"{len(chosen)} cases filled alone; now {given.clients} clients", file=sys.stderr)
    start = time.monotonic()
    until = start + 60 * given.minutes
    threads = [threading.Thread(target=run.client, args=(chosen, until, n)) for n in range(given.clients)]
    threads.append(threading.Thread(target=run.watch, args=(start, until)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(3)
    told = report(run, given.minutes, given.clients)
    print(json.dumps(told, indent=2))
    bad = findings(run, told["places_still_taken"], given.most_growth)
    for one in bad:
        print(one, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
