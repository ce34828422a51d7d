"""Limits of the caches of compiled kernels.

oneDNN, which PyTorch uses on CPUs, compiles a kernel for each shape and caches 1,024 of them; ideep, the
layer between the two, caches as many again per thread. Every hole leads to products of other shapes, so a
process that fills many grows by a gigabyte (155 MiB a minute under load). `ragged.round_up` keeps the shapes
few; these limits bound the rest, and are large enough for the kernels that a fill reuses.
"""

import os

LIMITS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128", "LRU_CACHE_CAPACITY": "64"}


def bound_kernel_caches() -> None:
    """Sets the limits where the user has set none; to be called before PyTorch's first matrix product."""
    for name, limit in LIMITS.items():
        os.environ.setdefault(name, limit)
