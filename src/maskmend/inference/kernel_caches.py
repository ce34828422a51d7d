"""How many prepared kernels a process keeps.

oneDNN, which PyTorch carries on CPUs, prepares a kernel for each shape it meets, and keeps 1,024 of them;
ideep, between the two, keeps as many again for each thread. Every hole brings products of other shapes, so a
process that fills many grows by a gigabyte (155 MiB a minute under load). `ragged.rounded` keeps the shapes
few; these limits bound what is left, and are large enough for what a fill needs again.
"""

import os

LIMITS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128", "LRU_CACHE_CAPACITY": "64"}


def bound_kernel_caches() -> None:
    """Sets the limits where the user has set none. They count from PyTorch's first product or convolution."""
    for name, limit in LIMITS.items():
        os.environ.setdefault(name, limit)
