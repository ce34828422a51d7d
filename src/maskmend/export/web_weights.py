"""The weights of ONNX graphs, taken out of them and packed for download by a browser.

    graphs ─► small graphs, their weights elsewhere     tensors, each once ─► float16 or 8 bits ─► gzip

Graphs of one model share tensors, which are stored once. Most are exact in float16, as shipped models store
them; those bytes are laid out as all high bytes, then all low bytes, which pack better. In the browser all
become float32 again, in one buffer that the graphs read.
"""

import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

LEAST = 32
"""Numbers of a tensor below which it stays in its graph."""
LEAST_8_BIT = 4096
"""Numbers of a kernel or matrix from which 8 bits are worth their scales."""
LOCATION = "weights"


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedWeights:
    weights: bytes
    """All tensors, gzipped."""
    graphs: bytes
    """The graphs without weights, concatenated and gzipped."""
    tensors: dict[str, Any]
    """How the weights are unpacked: `expand` of site/browser/loading.js."""
    places: dict[str, tuple[int, int]]
    """Where each graph begins and ends among the unpacked graphs."""


def pack_weights(graphs: dict[str, bytes], *, eight_bit: Iterable[str] = ()) -> PackedWeights:
    """Packs graphs by name.

    Kernels and matrices that only the graphs `eight_bit` have are rounded to 8 bits, with a scale for each
    row, which is a convolution's output channel; all else is unchanged.
    """
    import onnx  # pyright: ignore[reportMissingImports]
    from onnx import numpy_helper  # pyright: ignore[reportMissingImports]

    models = {name: onnx.load_from_string(content) for name, content in graphs.items()}
    tensors: dict[bytes, Float32[np.ndarray, ...]] = {}
    users: dict[bytes, set[str]] = {}
    for name, model in models.items():
        _strip(model)
        for initializer in model.graph.initializer:
            array = numpy_helper.to_array(initializer)
            if array.dtype == np.float32 and array.size >= LEAST:
                tensors[_key(array)] = array
                users.setdefault(_key(array), set()).add(name)
    rounded = set(eight_bit)
    small = {
        key: eight_bits(array)
        for key, array in tensors.items()
        if users[key] <= rounded and array.ndim in (2, 4) and array.size >= LEAST_8_BIT
    }
    half = {k: a for k, a in tensors.items() if k not in small and _exact_in_half(a)}
    full = {k: a for k, a in tensors.items() if k not in small and k not in half}
    f16, i8 = (sum(tensors[key].size for key in keys) for keys in (half, small))
    starts: dict[bytes, int] = {}
    at = 0
    for key in (*half, *small, *full):
        starts[key] = at
        at += tensors[key].size
    scaled = []
    for key, (codes, scales) in small.items():
        scaled.append({"start": starts[key] - f16, "rows": len(codes), "length": codes[0].size, "scales": at})
        full[key + b"scales"] = scales
        at += scales.size
    for model in models.values():
        for initializer in model.graph.initializer:
            array = numpy_helper.to_array(initializer)
            if array.dtype == np.float32 and array.size >= LEAST:
                _point_to(initializer, 4 * starts[_key(array)], 4 * array.size)
    slim = {name: model.SerializeToString() for name, model in models.items()}
    ends = np.cumsum([len(content) for content in slim.values()]).tolist()
    pairs = _joined(half.values(), np.float16).view(np.uint8).reshape(-1, 2)
    content = b"".join(
        (
            pairs[:, 1].tobytes(),
            pairs[:, 0].tobytes(),
            _joined((codes for codes, _ in small.values()), np.int8).tobytes(),
            _joined(full.values(), np.float32).tobytes(),
        )
    )
    return PackedWeights(
        weights=_gzipped(content),
        graphs=gzip.compress(b"".join(slim.values()), 9, mtime=0),
        tensors={"f16": f16, "i8": i8, "f32": at - f16 - i8, "scaled": scaled},
        places={name: (end - len(slim[name]), end) for name, end in zip(slim, ends, strict=True)},
    )


def eight_bits(kernel: Float32[np.ndarray, "R ..."]) -> tuple[np.ndarray, Float32[np.ndarray, "R"]]:
    """Codes -127 to 127 (int8, the kernel's shape) and the scale of each row."""
    rows = kernel.reshape(len(kernel), -1)
    largest = np.maximum(np.abs(rows).max(1), np.finfo(np.float32).tiny * 127)
    scales = (largest / np.float32(127)).astype(np.float32)
    return np.rint(rows / scales[:, None]).astype(np.int8).reshape(kernel.shape), scales


def _key(array: np.ndarray) -> bytes:
    return repr(array.shape).encode() + array.tobytes()


def _exact_in_half(array: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return bool((array.astype(np.float16).astype(np.float32) == array).all())


def _joined(arrays: Iterable[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *(array.astype(dtype).ravel() for array in arrays)])


def _point_to(initializer: Any, offset: int, length: int) -> None:
    from onnx import TensorProto  # pyright: ignore[reportMissingImports]

    initializer.ClearField("raw_data")
    initializer.ClearField("float_data")
    initializer.data_location = TensorProto.EXTERNAL
    for key, value in (("location", LOCATION), ("offset", offset), ("length", length)):
        entry = initializer.external_data.add()
        entry.key, entry.value = key, str(value)


def _strip(model: Any) -> None:
    """Removes the position in the Python source that each node came from."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
        if hasattr(part, "metadata_props"):
            del part.metadata_props[:]
    del graph.value_info[:]


def _gzipped(content: bytes) -> bytes:
    """As `gzip.compress`, a hundredth smaller: Z_FILTERED leaves out the short matches that numbers have by
    chance."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9, zlib.Z_FILTERED)
    return packer.compress(content) + packer.flush()
