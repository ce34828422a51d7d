"""A pool of workers on Ray as a discrete-event simulation (simpy), to try what cannot be rented.

    python bench/scale_simulation.py --workers 1000 --pictures 1000000 --seconds 0.5 --losses 0.2 --slow 0.02

As in `maskmend.bulk`: chunks of pictures wait in one queue; each worker takes one when it is free; the driver
notes what is done, one chunk after the other. A worker that is lost (a spot machine that is taken away, a
process that is killed) loses what it has done of its chunk, which goes back into the queue; another worker
takes its place after `restart` seconds. Losses come at random, as many an hour of a worker. A share of the
workers is slower than the others by a factor, as on machines with busy neighbours. Nobody makes a chunk a
second time while the first is still at it, as Ray Data does not either.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy


@dataclass(frozen=True, kw_only=True)
class Pool:
    workers: int
    restart: float = 30.0
    """Seconds until a lost worker's successor takes its first chunk: a machine, a process, the model."""
    losses: float = 0.0
    """Of a worker, an hour."""
    slow: float = 0.0
    """Share of the workers that are slow."""
    factor: float = 3.0
    """How much longer they take."""
    noting: float = 0.033
    """Seconds of the driver for a chunk: at most what `bulk_memory.py` measured, as a part of it goes by the
    clock and not by chunks."""
    begin: float = 0.0
    """Seconds before the first chunks are taken."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    seconds: float
    """From the first chunk taken to the last one noted."""
    useful: float
    """Seconds that all chunks take on workers that are not slow."""
    wasted: float
    """Seconds of workers for chunks that they did not finish."""
    lost: int
    """Workers."""

    def efficiency(self, pool: Pool) -> float:
        """Useful seconds as a share of those in which all workers could have worked."""
        return self.useful / (pool.workers * self.seconds)


def simulate(pool: Pool, chunks: Sequence[float], rng: np.random.Generator) -> Outcome:
    """A run over chunks that take so many seconds on a worker that is not slow."""
    world = simpy.Environment()
    waiting, done = simpy.Store(world), simpy.Store(world)
    waiting.items.extend(enumerate(chunks))
    told = {"useful": 0.0, "wasted": 0.0, "lost": 0}
    open_chunks = len(chunks)

    def work(slow: float) -> Iterator[Any]:
        nonlocal open_chunks
        left = rng.exponential(3600 / pool.losses) if pool.losses else np.inf  # of this worker's life
        while open_chunks:
            get = waiting.get()
            yield get | finished
            if not get.triggered:
                get.cancel()
                return
            number, seconds = get.value
            needed = seconds * slow
            if needed <= left:
                yield world.timeout(needed)
                left -= needed
                told["useful"] += seconds
                open_chunks -= 1
                yield done.put(number)
                continue
            yield world.timeout(left)
            told["wasted"] += left
            told["lost"] += 1
            yield waiting.put((number, seconds))
            yield world.timeout(pool.restart)
            left = rng.exponential(3600 / pool.losses)

    def drive() -> Iterator[Any]:
        for _ in chunks:
            yield done.get()
            yield world.timeout(pool.noting)
        finished.succeed()

    finished = world.event()
    for _ in range(pool.workers):
        world.process(work(pool.factor if rng.random() < pool.slow else 1.0))
    driver = world.process(drive())
    world.run(until=driver)
    return Outcome(seconds=world.now, useful=told["useful"], wasted=told["wasted"], lost=told["lost"])


def repeated(pool: Pool, chunks: Sequence[float], times: int, seed: int = 0) -> dict[str, float]:
    """Means over so many runs, and between which seconds nine of ten lie."""
    outcomes = [simulate(pool, chunks, np.random.default_rng((seed, n))) for n in range(times)]
    seconds = [outcome.seconds for outcome in outcomes]
    return {
        "seconds": float(np.mean(seconds)),
        "5 %": float(np.quantile(seconds, 0.05)),
        "95 %": float(np.quantile(seconds, 0.95)),
        "lost": float(np.mean([outcome.lost for outcome in outcomes])),
        "wasted": float(np.mean([outcome.wasted / outcome.useful for outcome in outcomes])),
        "efficiency": float(np.mean([outcome.efficiency(pool) for outcome in outcomes])),
    }


def cut(pictures: Sequence[float], chunk: int) -> list[float]:
    """Seconds of chunks of so many pictures."""
    return [float(sum(pictures[start : start + chunk])) for start in range(0, len(pictures), chunk)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=0.5, help="Of a picture, on average.")
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--losses", type=float, default=0.0)
    parser.add_argument("--restart", type=float, default=120.0)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    pool = Pool(workers=options.workers, losses=options.losses, restart=options.restart, slow=options.slow)
    # Pictures differ: half of them take less than 0.7 of the mean, one in a hundred more than five times it.
    draw = np.random.default_rng(1).lognormal(-0.32, 0.8, options.pictures) * options.seconds
    print(json.dumps(repeated(pool, cut(draw, options.chunk), options.times), indent=1))


if __name__ == "__main__":
    main()
