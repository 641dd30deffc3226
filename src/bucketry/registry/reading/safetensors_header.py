"""Reads from the header of a safetensors file which tensors it holds, and where. Pure.

The file is: the length of the header (8 bytes, little-endian), the header (a JSON object: of each tensor its dtype,
its shape, and where it begins and ends in what follows), and the tensors, end to end. A header is foreign text:
nothing that it says is believed before it agrees with itself and with the size of the file. What is valid is what the
format's own library opens, but for what the format forbids and that library lets pass: a name that stands there twice,
and blanks before the header.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UnsupportedError
from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

LENGTH_BYTES = 8
LARGEST_VALID_HEADER_BYTES = 100_000_000
"""The format's own limit; a file that claims more is no safetensors file."""
LARGEST_HEADER_BYTES = 8 * 1024 * 1024
"""What is read and parsed: some 70,000 tensors, several times as many as in any one file that people publish. The
most hostile JSON of this size takes about 300 MB of memory while it is parsed; one of 100 MB would take 4 GB."""
MOST_NESTED = 127
LARGEST_NUMBER = 2**64

BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
"""The size of one element of each dtype. A file with any other is opened by no reader."""

_METADATA = "__metadata__"
_FIELDS = ("dtype", "shape", "data_offsets")


@frozen
class PlacedTensor:
    """One tensor of a file: its bytes are `start:stop` of the whole file, little-endian, rows first."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def parse_length(prefix: bytes, *, file_bytes: int, what: str) -> int:
    """Return how long the header is, from the first 8 bytes; raise `CorruptError` or `UnsupportedError`."""
    length_bytes = int.from_bytes(prefix, "little")
    if len(prefix) != LENGTH_BYTES or length_bytes > min(LARGEST_VALID_HEADER_BYTES, file_bytes - LENGTH_BYTES):
        raise _corrupt(what, f"its header would be {length_bytes:,} bytes of {file_bytes:,}")
    if length_bytes > LARGEST_HEADER_BYTES:
        raise UnsupportedError(
            f"the header of {what} has {length_bytes:,} bytes, and at most {LARGEST_HEADER_BYTES:,} are read",
            advice="pull the file, and read it here",
        )
    return length_bytes


def parse_header(header: bytes, *, file_bytes: int, what: str) -> tuple[PlacedTensor, ...]:
    """Return the tensors in the order of their bytes; raise `CorruptError` unless they fill the file end to end."""
    document = _parse_json(header, what)
    offset = LENGTH_BYTES + len(header)
    tensors = [_placed(name, entry, offset, what) for name, entry in document.items() if name != _METADATA]
    tensors.sort(key=lambda tensor: (tensor.start, tensor.stop))
    position = offset
    for tensor in tensors:
        if tensor.start != position:
            kind = "overlaps another" if tensor.start < position else "leaves a gap before it"
            raise _corrupt(what, f"tensor {tensor.name!a} {kind}")
        position = tensor.stop
    if position != file_bytes:
        raise _corrupt(what, f"its tensors end at byte {position:,}, and the file at {file_bytes:,}")
    return tuple(tensors)


def _parse_json(header: bytes, what: str) -> dict[str, object]:
    if not header.startswith(b"{"):
        raise _corrupt(what, "its header is not a JSON object")
    try:
        document = json.loads(
            header.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_finite,
        )
        _check_texts(document)
    except (ValueError, RecursionError) as error:
        raise _corrupt(what, "its header is not valid JSON") from error
    if not isinstance(document, dict):
        raise _corrupt(what, "its header is not a JSON object")
    metadata = document.get(_METADATA)
    if metadata is not None and not (isinstance(metadata, dict) and all(type(one) is str for one in metadata.values())):
        raise _corrupt(what, "its metadata are not texts")
    return document


def _without_duplicates(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Readers differ in which of two equal names they take, and so in what they would read."""
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name stands there twice")
    return document


def _whole(text: str) -> float:
    """Return a number without a point; one that needs more than 64 bits, or is `-0`, counts as one with a point."""
    finite = _finite(text)
    return finite if text == "-0" or abs(finite) >= LARGEST_NUMBER else int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number that is none")
    return number


def _check_texts(document: object) -> None:
    """Raise `ValueError` for half a character in a text, and for what is nested deeper than readers go."""
    level: list[object] = [document]
    for _ in range(MOST_NESTED):
        inner: list[object] = []
        for node in level:
            inner += (
                [*node.keys(), *node.values()] if isinstance(node, dict) else node if isinstance(node, list) else ()
            )
        "".join(text for text in inner if isinstance(text, str)).encode()
        level = [node for node in inner if isinstance(node, dict | list)]
        if not level:
            return
    raise ValueError("nested too deep")


def _placed(name: str, entry: object, offset: int, what: str) -> PlacedTensor:
    if isinstance(entry, list) and len(entry) == len(_FIELDS):  # the fields in their order, which readers take too
        entry = dict(zip(_FIELDS, entry, strict=True))
    if not isinstance(entry, dict) or not entry.keys() >= set(_FIELDS):
        raise _corrupt(what, f"tensor {name!a} does not have a dtype, a shape and offsets")
    dtype = entry["dtype"]
    if isinstance(dtype, dict) and [*dtype.values()] == [None]:
        (dtype,) = dtype
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _corrupt(what, f"tensor {name!a} has no dtype that readers know")
    shape, offsets = _whole_numbers(entry["shape"]), _whole_numbers(entry["data_offsets"])
    if shape is None:
        raise _corrupt(what, f"tensor {name!a} has no shape of whole numbers")
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _corrupt(what, f"tensor {name!a} does not begin and end at two offsets")
    elements = 1
    for count in shape:
        elements *= count
        if elements >= LARGEST_NUMBER:
            raise _corrupt(what, f"tensor {name!a} is larger than any file")
    begin, end = offsets
    if elements * BITS[dtype] != (end - begin) * 8:
        raise _corrupt(what, f"tensor {name!a} has {end - begin:,} bytes, which is not its shape's size in {dtype}")
    return PlacedTensor(name, dtype, shape, offset + begin, offset + end)


def _whole_numbers(found: object) -> tuple[int, ...] | None:
    """Return a list of whole numbers from 0; None for anything else. JSON's `true` is no number."""
    if not isinstance(found, list) or not all(type(number) is int and number >= 0 for number in found):
        return None
    return tuple(found)


def _corrupt(what: str, reason: str) -> CorruptError:
    return CorruptError(
        f"{what} is not a valid safetensors file: {reason}", advice="ask whoever published this version"
    )
