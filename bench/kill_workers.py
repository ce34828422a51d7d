"""Kills workers and drivers of a run on Ray with SIGKILL, and checks that nothing is lost, doubled or wrong.

    PYTHONPATH=src python bench/kill_workers.py --kills 20

A cluster of two nodes runs on this machine (`ray.cluster_utils.Cluster`), one worker on each. Pictures are
filled once in one process; then on the cluster, while workers and, one time in `--driver-every`, the driver
are killed at random moments, each after some chunk was done since the kill before; a killed driver is started
again. In the end the pictures must be the same to the byte, and the manifest must have each key once. Needs
the extra `ray`, and Linux, whose /proc tells which processes are whose.

With `--s3` pictures and results lie in a bucket of moto's server (`pip install 'moto[server]'`, extra
`cloud`).
"""

import argparse
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--driver-every", type=int, default=4, help="Of so many kills one is the driver's.")
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--chunk", type=int, default=2)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--model", default="cats64")
    parser.add_argument("--pause", type=float, default=0.5, help="Seconds between kills, at most.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--s3", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("RAY_worker_niceness", "0")  # else they starve where the machine has other work
    folder = Path(tempfile.mkdtemp(prefix="maskmend-kills-"))
    try:
        print(json.dumps(run(folder, options), indent=1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    from ray.cluster_utils import Cluster

    draw_pictures(folder, options.pictures, options.seed)
    alone = folder / "alone"
    subprocess.run(command(folder, alone, "local", options), check=True, env=environment())
    server = Bucket(folder) if options.s3 else None
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=1)
        raylets = [node.all_processes["raylet"][0].process.pid for node in (cluster.head_node, second)]
        where = environment() | {"RAY_ADDRESS": cluster.address} | (server.environment if server else {})
        target = server.target if server else folder / "ray"
        words = command(server.source if server else folder, target, "ray", options)
        count = server.done if server else partial(done, folder / "ray")
        killed = kill_while_running(words, where, raylets, count, options)
        if server:
            server.fetch(folder / "ray")
    finally:
        cluster.shutdown()
        if server:
            server.stop()
    if sum(killed.values()) < options.kills:
        raise SystemExit(f"only {killed} were killed before all was done: give more --pictures")
    return {"killed": killed, **compared(alone, folder / "ray", options.pictures)}


def kill_while_running(
    words: list[str],
    where: dict[str, str],
    raylets: list[int],
    done: Callable[[], int],
    options: argparse.Namespace,
) -> dict[str, int]:
    rng, killed, before = random.Random(options.seed), Counter({"worker": 0, "driver": 0}), 0
    while True:
        driver = subprocess.Popen(words, env=where, stderr=subprocess.PIPE, text=True)
        try:
            while driver.poll() is None:
                time.sleep(rng.uniform(0.05, options.pause))
                workers = list(workers_of(raylets))
                if sum(killed.values()) >= options.kills or not workers or done() <= before:
                    continue
                if driver.poll() is not None:
                    break
                if sum(killed.values()) % options.driver_every == options.driver_every - 1:
                    driver.kill()
                    killed["driver"] += 1
                else:
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    killed["worker"] += 1
                before = done()
            _, told = driver.communicate()
        finally:
            driver.kill()
        if driver.returncode == 0:
            return dict(killed)
        if driver.returncode != -signal.SIGKILL:
            raise SystemExit(f"the driver ended with status {driver.returncode}: {told[-2000:]}")


def workers_of(raylets: list[int], *, ready: bool = False) -> Iterator[int]:
    """Process numbers of the workers that fill: children of these raylets, as Ray names them. `ready`: only
    those whose model is loaded."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            name = (entry / "cmdline").read_bytes()
        except OSError:  # it ended
            continue
        loading = b"__init__" in name
        if parent in raylets and name.startswith(b"ray::MapWorker") and not (ready and loading):
            yield int(entry.name)


def compared(alone: Path, target: Path, pictures: int) -> dict[str, object]:
    """Raises SystemExit where anything was lost, doubled or changed."""
    wanted, found = files(alone), files(target)
    keys = Counter(
        json.loads(line)["key"]
        for part in (target / "_maskmend" / "parts").glob("*.jsonl")
        for line in part.read_text().splitlines()
    )
    outcome = {
        "pictures": pictures,
        "lost": len(wanted.keys() - found.keys()),
        "too many": len(found.keys() - wanted.keys()),
        "wrong": sum(found[name] != wanted[name] for name in wanted.keys() & found.keys()),
        "not in the manifest": pictures - len(keys),
        "twice in the manifest": sum(count > 1 for count in keys.values()),
    }
    if len(wanted) != pictures or any(count for name, count in outcome.items() if name != "pictures"):
        raise SystemExit(f"not the same: {outcome}")
    return outcome


def done(target: Path) -> int:
    """Chunks that are done."""
    parts = target / "_maskmend" / "parts"
    return sum(path.suffix == ".jsonl" for path in parts.iterdir()) if parts.is_dir() else 0


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and "_maskmend" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def command(source: Path | str, target: Path | str, engine: str, options: argparse.Namespace) -> list[str]:
    words = ["inpaint", "--input", f"{source}/photos", "--masks", f"{source}/masks", "-o", str(target)]
    words += ["--engine", engine, "--chunk", str(options.chunk), "--model", options.model]
    return [sys.executable, "-m", "maskmend", *words, "--steps", str(options.steps)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def draw_pictures(folder: Path, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for name in ("photos", "masks"):
        (folder / name).mkdir()
    for number in range(count):
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC).save(
            folder / f"photos/{number:05}.png"
        )
        mask = np.zeros((64, 64), np.uint8)
        top, left = rng.integers(0, 40, 2)
        mask[top : top + 20, left : left + 20] = 255
        Image.fromarray(mask).save(folder / f"masks/{number:05}.png")


class Bucket:
    """Object storage on this machine, with the pictures in it."""

    def __init__(self, folder: Path) -> None:
        import s3fs
        from moto.server import ThreadedMotoServer

        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.source, self.target = "s3://pictures", "s3://pictures/filled"
        os.environ.update(self.environment)  # the cluster's processes inherit it
        self.system = s3fs.S3FileSystem(endpoint_url=self.environment["AWS_ENDPOINT_URL"])
        self.system.mkdir("pictures")
        for name in ("photos", "masks"):
            self.system.put(f"{folder}/{name}", f"pictures/{name}", recursive=True)

    def done(self) -> int:
        self.system.invalidate_cache()
        return len(self.system.find("pictures/filled/_maskmend/parts"))

    def fetch(self, folder: Path) -> None:
        self.system.invalidate_cache()  # others have written since
        for path in self.system.find("pictures/filled"):
            own = folder / path.removeprefix("pictures/filled/")
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_bytes(io.BytesIO(self.system.cat_file(path)).getvalue())

    def stop(self) -> None:
        self.server.stop()


if __name__ == "__main__":
    main()
