"""Packed weights, unpacked as the browser does it, against what went in."""

import gzip

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from maskmend.export.web_weights import PackedWeights, eight_bits, pack_weights


def graph(**tensors: np.ndarray) -> bytes:
    """A graph that gives its initializers back."""
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in tensors]
    made = helper.make_graph(
        nodes,
        "graph",
        [],
        [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None) for name in tensors],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    return helper.make_model(made).SerializeToString()


def unpacked(packed: PackedWeights) -> np.ndarray:
    """`expand` of site/browser/loading.js."""
    content, said = gzip.decompress(packed.weights), packed.tensors
    f16, i8, f32 = said["f16"], said["i8"], said["f32"]
    high, low = (np.frombuffer(content, np.uint8, f16, start * f16) for start in (0, 1))
    half = np.stack([low, high], axis=1).reshape(-1).view(np.float16).astype(np.float32)
    small = np.frombuffer(content, np.int8, i8, 2 * f16).astype(np.float32)
    full = np.frombuffer(content, np.float32, f32, 2 * f16 + i8)
    for one in said["scaled"]:
        here = slice(one["start"], one["start"] + one["rows"] * one["length"])
        scales = full[one["scales"] - f16 - i8 :][: one["rows"]]
        small[here] = (small[here].reshape(one["rows"], -1) * scales[:, None]).ravel()
    return np.concatenate([half, small, full])


def read(packed: PackedWeights, name: str) -> dict[str, np.ndarray]:
    """A graph's tensors by name, wherever they are."""
    start, end = packed.places[name]
    model = onnx.load_from_string(gzip.decompress(packed.graphs)[start:end])
    numbers, found = unpacked(packed), {}
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            said = {entry.key: entry.value for entry in tensor.external_data}
            first = int(said["offset"]) // 4
            found[tensor.name] = numbers[first : first + int(said["length"]) // 4].reshape(tensor.dims)
        else:
            found[tensor.name] = numpy_helper.to_array(tensor)
    return found


def test_tensors_come_back_each_to_its_graph():
    """Catches offsets that are off, bytes of halves in the wrong order, and tensors stored twice."""
    rng = np.random.default_rng(0)
    half = rng.normal(size=(40, 50)).astype(np.float16).astype(np.float32)
    full, kernel = (rng.normal(size=shape).astype(np.float32) for shape in ((70, 3), (32, 16, 3, 3)))
    tiny = np.arange(4, dtype=np.float32)
    graphs = {"step": graph(a=half, b=full), "decoder": graph(c=half, d=kernel, e=tiny)}
    exact, rounded = pack_weights(graphs), pack_weights(graphs, eight_bit=("decoder",))
    assert exact.tensors["f16"] == half.size
    assert exact.tensors["f32"] == full.size + kernel.size
    for packed in (exact, rounded):
        step, decoder = read(packed, "step"), read(packed, "decoder")
        for found, given in (
            (step["a"], half),
            (step["b"], full),
            (decoder["c"], half),
            (decoder["e"], tiny),
        ):
            np.testing.assert_array_equal(found, given)
    np.testing.assert_array_equal(read(exact, "decoder")["d"], kernel)
    codes, scales = eight_bits(kernel)
    np.testing.assert_array_equal(read(rounded, "decoder")["d"], codes * scales[:, None, None, None])
    assert rounded.tensors["i8"] == kernel.size


def test_eight_bits_are_within_half_a_step():
    """Catches a scale for all rows at once, and codes beyond 8 bits."""
    rows = np.random.default_rng(1).normal(size=(4, 100)).astype(np.float32) * [[1], [1e-3], [50], [0]]
    codes, scales = eight_bits(rows.astype(np.float32))
    assert codes.dtype == np.int8
    assert np.abs(codes.astype(int)).max() == 127
    assert (np.abs(codes * scales[:, None] - rows) <= scales[:, None] * 0.501).all()
