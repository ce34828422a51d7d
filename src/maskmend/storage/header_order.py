"""Sorts the header of a safetensors file, so that equal weights give equal files.

The library writes the metadata in the order of a hash table, which differs between processes, so hashes of
files could not be compared. The format allows any order: eight bytes have the length of the header, the
header is JSON padded with spaces, and the tensors' offsets count from its end.
"""

import json
import struct

ALIGNMENT = 8
"""The tensors begin at a multiple of this many bytes, as the library writes them."""


def ordered(content: bytes) -> bytes:
    """The safetensors file `content` with its metadata by name and its tensors by their place in the file."""
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__", None)
    entries = {} if metadata is None else {"__metadata__": dict(sorted(metadata.items()))}
    entries |= sorted(header.items(), key=lambda entry: (entry[1]["data_offsets"], entry[0]))
    written = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    written += b" " * (-len(written) % ALIGNMENT)
    return b"".join((struct.pack("<Q", len(written)), written, memoryview(content)[8 + length :]))
