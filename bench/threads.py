"""How PyTorch's threads should wait: a photograph filled under several policies, idle and beside busy loops.

    python bench/threads.py [--rounds 5] [--model photo]

A policy is read when PyTorch's library is loaded, so each is tried in fresh processes, in turns. Prints, for
each, the median time by the clock and of the processors. "PyTorch's own" is what a process gets without
maskmend's default; "a short spin" is that default. The first rows show
what a policy costs an idle machine.
"""

import argparse
import json
import os
import subprocess
import sys
from contextlib import nullcontext

import numpy as np

from maskmend.benchmark.waits import LOOPS, busy_loops
from maskmend.inference.threads import OWN_CHOICE, WAITING

POLICIES = {
    "PyTorch's own": {"GOMP_SPINCOUNT": "300000"},  # what GNU's library takes where nothing is set
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "a short spin": WAITING,
    "a longer spin": {"GOMP_SPINCOUNT": "10000"},
    "a short spin, one thread": WAITING | {"OMP_NUM_THREADS": "1"},
}
PROGRAM = """
import hashlib, json, sys, time
from maskmend.benchmark.waits import PHOTOGRAPH, photograph, scratch_and_date
from maskmend.pipeline import InpaintPipeline

pipe = InpaintPipeline.from_pretrained(sys.argv[1])
image, hole = photograph(*PHOTOGRAPH), scratch_and_date(*PHOTOGRAPH)
small = image[:64, :64], hole[190:254, :64]
pipe(*small)
clock, cpu = time.perf_counter(), time.process_time()
for _ in range(5):
    pipe(*small)
between = time.perf_counter()
result = pipe(image, hole)
print(json.dumps({
    "small": (between - clock) / 5,
    "seconds": time.perf_counter() - between,
    "cpu": time.process_time() - cpu,
    "pixels": hashlib.sha256(result.pictures[0].pixels.tobytes()).hexdigest()[:12],
}))
"""


def timed(policy: dict[str, str], model: str) -> dict:
    outside = {name: value for name, value in os.environ.items() if name not in OWN_CHOICE}
    command = [sys.executable, "-c", PROGRAM, model]
    finished = subprocess.run(command, env=outside | policy, check=True, capture_output=True, text=True)
    return json.loads(finished.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="photo")
    given = parser.parse_args()
    found = {(name, busy): [] for busy in (False, True) for name in POLICIES}
    for _ in range(given.rounds):
        for name, busy in found:
            with busy_loops() if busy else nullcontext():
                found[name, busy].append(timed(POLICIES[name], given.model))
    print(f"| threads wait | beside {LOOPS} busy loops | 64 x 64 | photograph | processors | pixels |")
    print("| --- | --- | ---: | ---: | ---: | --- |")
    for (name, busy), runs in found.items():
        small, seconds, cpu = (np.median([run[key] for run in runs]) for key in ("small", "seconds", "cpu"))
        pixels = ", ".join(sorted({run["pixels"] for run in runs}))
        beside = "yes" if busy else "no"
        print(f"| {name} | {beside} | {small:.3f} s | {seconds:.2f} s | {cpu:.1f} s | {pixels} |")


if __name__ == "__main__":
    main()
