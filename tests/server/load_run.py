"""Many clients at a running server for some minutes: is every answer right, and does its memory stay flat?

    maskmend serve --port 8765 --places 16 --model cats64 --model photo &
    python tests/server/load_run.py http://127.0.0.1:8765 --minutes 60 --clients 12 --most-growth 1

Each case is first filled alone; after that every answer to it, whatever it was batched with, must be the same
to the bit. Clients ask for fills of all models that the server has, as JSON and as events, and for
conversions. Some go away in the middle, some send half a body, some break the connection off in the middle
of an upload, some open a stream of events and do not read it, and, where there are more of them than places,
some are told to come back later and do. The exit status is 1 for a wrong answer, a place or an upload that
is still there, file descriptors that stay open, and memory that grows faster than --most-growth over the
last half of the run (of a long one: its last 30 minutes). Standard library, NumPy and Pillow.
"""

import argparse
import base64
import contextlib
import http.client
import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import numpy as np

from fuzz_run import multipart
from load_cases import Case, bulky, cases, fresh

BAD = ("status", "ended", "connection", "NONSENSE", "WRONG")
"""How outcomes begin that must not be."""
LATE = 30.0
"""Minutes at the end of a long run over which memory must be flat; of a shorter one it is the last half."""
MAY_STAY_OPEN = 8
"""Connections that may be between two requests when descriptors are counted."""


class Run:
    def __init__(self, url: str) -> None:
        self.address = urlsplit(url).netloc
        self.counts: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.memory: list[tuple[float, float]] = []
        self.models: list[str] = []
        self.lock = threading.Lock()

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def ask(self, case: Case, accept: str) -> None:
        """One request and what came of it; waits as told when the server is busy."""
        connection = http.client.HTTPConnection(self.address, timeout=600)
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
        with self.lock:
            self.seconds.append(time.monotonic() - start)
        self.check(case, accept, content)

    def check(self, case: Case, accept: str, content: bytes) -> None:
        """Whether a whole answer is the right one."""
        if accept == "application/json":
            fills = [base64.b64decode(fill["image"]) for fill in json.loads(content)["fills"]]
        else:
            blocks = [block for block in content.decode().strip().split("\n\n") if block[:1] != ":"]
            events = [block.split("\ndata: ") for block in blocks]
            if events[-1][0] != "event: done":
                self.count(f"ended with {events[-1]}"[:200])
                return
            told = [json.loads(event[1]) for event in events if event[0] == "event: fill"]
            fills = [base64.b64decode(one["image"]) for one in told]
        self.told(case.wrong(fills), "right", accept)

    def told(self, wrong: str | None, right: str, accept: str) -> None:
        self.count(right if wrong is None else "WRONG")
        if wrong is not None:
            print(f"{accept}: {wrong}", file=sys.stderr)

    def convert(self, case: Case) -> None:
        """The case's picture written as WebP without loss: the same pixels."""
        body, headers = multipart(case.image, None, format="webp")
        connection = http.client.HTTPConnection(self.address, timeout=600)
        try:
            connection.request("POST", "/v1/convert", body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.count(f"connection: {type(error).__name__} at a conversion")
            return
        finally:
            connection.close()
        if answer.status == 429:
            self.count("429, came back later")
        elif answer.status != 200:
            self.count(f"status {answer.status} of a conversion")
        else:
            self.told(case.conversion_wrong(content), "converted", "convert")

    def break_off(self, case: Case, rng: random.Random) -> None:
        """An upload whose connection ends in the middle of its body, as those of phones do."""
        with contextlib.suppress(OSError), self.connected() as wire:
            wire.sendall(self.head(case) + case.body[: rng.randrange(len(case.body))])
            time.sleep(rng.random())
        self.count("broke off an upload")

    def do_not_read(self, case: Case, rng: random.Random) -> None:
        """A stream of events which nobody reads for a while; then it is read to its end, or left."""
        content, ended = b"", ""
        try:
            with self.connected(buffer=4096) as wire:
                wire.sendall(self.head(case) + case.body)
                time.sleep(rng.uniform(2, 15))
                if rng.random() < 0.5:
                    self.count("left a stream unread")
                    return
                wire.settimeout(600)
                while piece := wire.recv(65536):
                    content += piece
        except OSError as error:
            # Also the end of a request that was refused before its body was read.
            ended = type(error).__name__
        status = int(content.split(b" ", 2)[1]) if content else 0
        if ended and status != 429:
            self.count(f"connection: {ended} at a stream read late, status {status}, {len(content)} bytes")
        elif status == 200:
            self.check(case, "text/event-stream", unchunked(content.partition(b"\r\n\r\n")[2]))
        else:
            self.count("429, came back later" if status == 429 else f"status {status} of a stream read late")

    def connected(self, buffer: int | None = None) -> socket.socket:
        host, port = self.address.split(":")
        wire = socket.socket()
        if buffer is not None:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        wire.settimeout(60)
        wire.connect((host, int(port)))
        return wire

    def head(self, case: Case) -> bytes:
        fields = {"Host": self.address, "Accept": "text/event-stream", "Connection": "close"}
        fields |= case.headers | {"Content-Length": str(len(case.body))}
        lines = [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join(["POST /v1/inpaint HTTP/1.1", *lines, "", ""]).encode()

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
        large = bulky(self.models[0])
        while time.monotonic() < until:
            case, dice = rng.choice(chosen), rng.random()
            if dice < 0.06:
                self.leave(case)
            elif dice < 0.12:
                self.nonsense(case)
            elif dice < 0.18:
                self.break_off(case, rng)
            elif dice < 0.22:
                self.do_not_read(large, rng)
            elif dice < 0.34:
                self.convert(case)
            elif dice < 0.50:
                new = fresh(rng, self.models)
                self.ask(new, "application/json")
                self.ask(new, "text/event-stream")
            else:
                self.ask(case, rng.choice(["application/json", "text/event-stream"]))

    def names(self) -> list[str]:
        """Of the server's models."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request("GET", "/v1/models")
        told = json.loads(connection.getresponse().read())
        connection.close()
        return [model["name"] for model in told["models"]]

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


def unchunked(body: bytes) -> bytes:
    """A body of `Transfer-Encoding: chunked`, joined."""
    joined = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        joined, body = joined + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return joined


def late_part(memory: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and MiB of the last half, of a long run of the last `LATE` minutes: before, caches fill."""
    spent, sizes = np.array(memory).T
    late = spent >= max(spent[-1] / 2, spent[-1] - 60 * LATE)
    return spent[late], sizes[late]


def slope(memory: list[tuple[float, float]]) -> float:
    """MiB a minute over the late part of (seconds, MiB). NaN for too few."""
    spent, sizes = late_part(memory)
    return float(np.polyfit(spent / 60, sizes, 1)[0]) if len(spent) > 2 else float("nan")


def findings(run: Run, after: dict[str, float], before: dict[str, float], most_growth: float) -> list[str]:
    """What must not be, in words; `before` and `after` are the server's metrics with nothing to do."""
    bad = [f"{what}: {count}" for what, count in run.counts.items() if what.startswith(BAD)]
    for what, name in (("places", "places_taken"), ("uploads", "uploads"), ("requests", "waiting")):
        if after[f"maskmend_{name}"]:
            bad.append(f"{after[f'maskmend_{name}']:g} {what} are still taken or under way")
    opened = after["process_open_fds"] - before["process_open_fds"]
    if opened > MAY_STAY_OPEN:
        bad.append(f"{opened:g} file descriptors more than before the run")
    if not slope(run.memory) <= most_growth:  # nor a NaN, which says nothing
        bad.append(
            f"memory grew by {slope(run.memory):.1f} MiB a minute in the late part, more than {most_growth:g}"
        )
    return bad


def report(run: Run, minutes: float, clients: int, after: dict[str, float]) -> dict[str, object]:
    sizes = np.array(run.memory)[:, 1]
    batches = after["maskmend_batch_requests_count"]
    return {
        "minutes": minutes,
        "clients": clients,
        "models": run.models,
        "answers": dict(sorted(run.counts.items())),
        "wrong": run.counts["WRONG"],
        "batches": int(batches),
        "requests_per_batch": round(after["maskmend_batch_requests_sum"] / max(batches, 1), 2),
        "seconds_median_and_95": [round(float(q), 2) for q in np.quantile(run.seconds or [0], (0.5, 0.95))],
        "memory_mib": {
            "start": round(float(sizes[0])),
            "start_of_late_part": round(float(late_part(run.memory)[1][0])),
            "end": round(float(sizes[-1])),
            "most": round(float(sizes.max())),
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
    run = Run(given.url)
    run.models = run.names()
    chosen = cases(run.models)
    for case in chosen:
        run.ask(case, "application/json")
    if run.counts["right"] != len(chosen):
        print(f"the server does not fill all cases one by one: {dict(run.counts)}")
        return 2
    print(f"{len(chosen)} cases filled alone; now {given.clients} clients", file=sys.stderr)
    before = run.metrics()
    start = time.monotonic()
    until = start + 60 * given.minutes
    threads = [threading.Thread(target=run.client, args=(chosen, until, n)) for n in range(given.clients)]
    threads.append(threading.Thread(target=run.watch, args=(start, until)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(3)
    after = run.metrics()
    print(json.dumps(report(run, given.minutes, given.clients, after), indent=2))
    bad = findings(run, after, before, given.most_growth)
    for one in bad:
        print(one, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
