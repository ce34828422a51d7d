"""A run on a cluster of two nodes, some of whose workers are lost, beside what the simulation says of it.

    PYTHONPATH=src python bench/scale_nodes.py --pictures 300 --every 20

The cluster is on this machine (`ray.cluster_utils.Cluster`), one worker on each node; workers are killed at
random moments, `--every` seconds apart on average. The simulation (`scale_simulation.py`) gets from the run:
what each picture took, as the manifest tells; how many were killed in how long; and how long it took until
another worker was ready. How long the whole takes is what it has to find out. Needs Linux, the extra `ray`
and simpy. Give it a machine with two idle processors: on a busy one both figures reflect the other work.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from kill_workers import command, done, draw_pictures, environment, workers_of
from scale_simulation import Pool, repeated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--chunk", type=int, default=4)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--model", default="cats64")
    parser.add_argument(
        "--every", type=float, default=20.0, help="Seconds between kills, on average; 0: none."
    )
    parser.add_argument("--seed", type=int, default=0)
    print(json.dumps(compared(parser.parse_args()), indent=1))


def compared(options: argparse.Namespace) -> dict[str, Any]:
    """What was measured, and the simulation's figures under `simulated`."""
    os.environ.setdefault("RAY_worker_niceness", "0")  # else they starve where the machine has other work
    folder = Path(tempfile.mkdtemp(prefix="maskmend-nodes-"))
    try:
        draw_pictures(folder, options.pictures, options.seed)
        seconds, kills, restarts = run(folder, options)
        chunks = [
            sum(json.loads(line)["seconds"] for line in part.read_text().splitlines())
            for part in sorted((folder / "out/_maskmend/parts").glob("*.jsonl"))
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    restart = statistics.mean(restarts) if restarts else 0.0
    pool = Pool(workers=2, losses=3600 * kills / (2 * seconds), restart=restart)
    return {
        "pictures": options.pictures,
        "chunks": len(chunks),
        "seconds": round(seconds, 1),
        "seconds of the workers on chunks": round(sum(chunks), 1),
        "workers killed": kills,
        "seconds until another was ready": round(restart, 1),
        "simulated": {name: round(value, 3) for name, value in repeated(pool, chunks, 200).items()},
    }


def run(folder: Path, options: argparse.Namespace) -> tuple[float, int, list[float]]:
    """Seconds from two ready workers to the last chunk, how many were killed, how long each was missing."""
    from ray.cluster_utils import Cluster

    rng, kills, restarts = random.Random(options.seed), 0, []
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=1)
        raylets = [node.all_processes["raylet"][0].process.pid for node in (cluster.head_node, second)]
        where = environment() | {"RAY_ADDRESS": cluster.address}
        words = command(folder, folder / "out", "ray", options)
        driver = subprocess.Popen(words, env=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while len(set(workers_of(raylets, ready=True))) < 2 and driver.poll() is None:
                time.sleep(0.05)
            began = last = time.monotonic()
            seen, missing, kill_at = 0, None, began + pause(rng, options)
            while driver.poll() is None:
                time.sleep(0.05)
                now, workers = time.monotonic(), sorted(workers_of(raylets, ready=True))
                if (count := done(folder / "out")) > seen:
                    seen, last = count, now
                if missing is not None and len(workers) == 2:
                    restarts.append(now - missing)
                    missing, kill_at = None, now + pause(rng, options)
                elif missing is None and len(workers) == 2 and now > kill_at:
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    kills, missing = kills + 1, now
            if driver.returncode:
                raise SystemExit(f"the run ended with status {driver.returncode}")
        finally:
            driver.kill()
    finally:
        cluster.shutdown()
    return last - began, kills, restarts


def pause(rng: random.Random, options: argparse.Namespace) -> float:
    """Seconds until the next kill."""
    return rng.expovariate(1 / options.every) if options.every else float("inf")


if __name__ == "__main__":
    main()
