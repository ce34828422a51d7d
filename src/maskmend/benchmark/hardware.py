"""Peak performance of the hardware, and a description of the machine without its name."""

import os
import platform
from pathlib import Path

import torch

from maskmend.benchmark.timing import Case, clocked
from maskmend.inference.roofline import FORMATS, product, side_of

COPIED = 256 * 2**20
"""Bytes of the memory copy: larger than any cache."""

EXTENSIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX512-BF16",
    "avx512_vnni": "VNNI",
    "amx_bf16": "AMX",
}
"""Relevant vector extensions, by their names in /proc/cpuinfo."""


def ceiling_cases() -> list[Case]:
    """Large matrix products in the three formats, and a memory copy (counting bytes read and written)."""
    cpu, cases = torch.device("cpu"), []
    side = side_of(cpu)
    for name in FORMATS:
        try:
            work = product(name, cpu, side)
            work()
        except RuntimeError:  # a format this machine does not support
            continue
        cases.append(Case(group="ceilings", name=name, run=clocked(work), operations=2.0 * side**3))
    source, target = torch.ones(COPIED, dtype=torch.uint8), torch.empty(COPIED, dtype=torch.uint8)
    copy = clocked(lambda: target.copy_(source))
    cases.append(Case(group="ceilings", name="copy", run=copy, operations=2.0 * COPIED))
    return cases


def hardware() -> str:
    """Processor, threads and versions in one line."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    flags: set[str] = set()
    if info.is_file():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                processor = value.strip()
            elif name.strip() == "flags":
                flags = set(value.split())
    found = [label for flag, label in EXTENSIONS.items() if flag in flags]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{processor} ({', '.join(found) or 'no vector extensions known'}), {cores} cores, "
        f"{torch.get_num_threads()} threads; Python {platform.python_version()}, PyTorch {torch.__version__}"
    )
