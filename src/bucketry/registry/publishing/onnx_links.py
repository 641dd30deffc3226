"""Reads from an ONNX graph which files its tensors are in.

A walk over the few fields of the format (protocol buffers) through which a tensor can be reached, without the library:
each is a tag, a length and bytes, and all else, such as the weights themselves, is stepped over. What is no ONNX names
nothing. The numbers of the fields are those of `onnx.proto`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from bucketry.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MOST_FIELDS = 50_000_000
"""Of one file; a graph of 100,000 nodes has some 2 million."""
DEEPEST_MESSAGE = 64
LONGEST_VARINT_BYTES = 10
LONGEST_LOCATION_BYTES = 65_536
MOST_LOCATIONS = 100_000

WINDOW_BYTES = 16 * 1024

_VARINT, _BYTES = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}
_TENSOR, _ENTRY = "tensor", "entry"
_WAYS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: _TENSOR, 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: _TENSOR, 6: "graph", 10: _TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: _TENSOR, 2: _TENSOR},
}
"""From which message a tensor is reached by which field, and what the field holds."""
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1
_KEY, _VALUE = 1, 2


class _NoOnnxError(Exception):
    """The bytes are no protocol buffer of this kind."""


def find_external_locations(path: Path) -> Iterator[str]:
    """Return each location of external data once, in the order of the file; none for what is no ONNX.

    Raises `UsageError` for a graph with more fields than any real one has.
    """
    with path.open("rb") as file:
        file.seek(0, 2)
        walk = _GraphWalk(file)
        try:
            walk.message("model", 0, file.tell(), DEEPEST_MESSAGE)
        except _NoOnnxError:
            return iter(())
        return iter(walk.locations)


class _GraphWalk:
    """One reading of one file, through a window, so that the weights between are not read."""

    def __init__(self, file: BinaryIO) -> None:
        self.locations: dict[str, None] = {}
        self._file = file
        self._fields_left = MOST_FIELDS
        self._window, self._window_at = b"", 0

    def message(self, kind: str, start: int, stop: int, levels_left: int) -> None:
        """Look into a message, and into what it holds on the ways to a tensor."""
        if levels_left == 0:
            raise _NoOnnxError
        ways = _WAYS[kind]
        for number, _, begin, end in self._fields(start, stop):
            inner = ways.get(number)
            if inner is None or begin < 0:
                continue
            if inner == _TENSOR:
                self._tensor(begin, end)
            else:
                self.message(inner, begin, end, levels_left - 1)

    def _tensor(self, start: int, stop: int) -> None:
        entries: list[tuple[int, int]] = []
        is_external = False
        for number, value, begin, end in self._fields(start, stop):
            if number == _EXTERNAL_DATA and begin >= 0:
                entries.append((begin, end))
            elif number == _DATA_LOCATION:
                is_external = value == _EXTERNAL
        for begin, end in entries if is_external else ():
            texts = {_KEY: "", _VALUE: ""}
            for number, _, at, after in self._fields(begin, end):
                if number in texts and at >= 0:
                    text = self._bytes(at, min(after, at + LONGEST_LOCATION_BYTES))
                    texts[number] = text.decode("utf-8", "replace")
            if texts[_KEY] == "location":
                self.locations.setdefault(texts[_VALUE])
        if len(self.locations) > MOST_LOCATIONS:
            raise UsageError(f"an ONNX file names more than {MOST_LOCATIONS:,} others", advice="leave it out")

    def _fields(self, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield a field's number, its value if it is small, and where its bytes begin and end; -1 for a small one."""
        at = start
        while at < stop:  # bounded by MOST_FIELDS
            self._fields_left -= 1
            if self._fields_left < 0:
                raise UsageError(f"an ONNX file has more than {MOST_FIELDS:,} fields", advice="leave it out")
            tag, at = self._varint(at, stop)
            number, kind = tag >> 3, tag & 7
            value, begin = 0, -1
            if kind == _VARINT:
                value, at = self._varint(at, stop)
            elif kind == _BYTES:
                length, begin = self._varint(at, stop)
                at = begin + length
            elif kind in _FIXED_BYTES:
                at += _FIXED_BYTES[kind]
            else:
                raise _NoOnnxError
            if at > stop or number == 0:
                raise _NoOnnxError
            yield number, value, begin, at

    def _varint(self, at: int, stop: int) -> tuple[int, int]:
        """Return the number that begins at a place, and where it ends."""
        value = 0
        for index, byte in enumerate(self._bytes(at, min(stop, at + LONGEST_VARINT_BYTES))):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value, at + index + 1
        raise _NoOnnxError

    def _bytes(self, start: int, stop: int) -> bytes:
        offset = start - self._window_at
        if offset < 0 or stop - self._window_at > len(self._window):
            self._file.seek(start)
            self._window, self._window_at, offset = self._file.read(max(WINDOW_BYTES, stop - start)), start, 0
        return self._window[offset : offset + stop - start]
