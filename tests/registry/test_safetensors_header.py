"""Is a header believed only where it agrees with itself and with the file?"""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize

from bucketry.errors import CorruptError, UnsupportedError
from bucketry.registry.reading.safetensors_header import (
    BITS,
    LARGEST_HEADER_BYTES,
    PlacedTensor,
    parse_header,
    parse_length,
)
from examples import of_hundred
from registry.safetensors_files import make_file, make_tensors


def parse(file: bytes) -> tuple[PlacedTensor, ...]:
    length = parse_length(file[:8], file_bytes=len(file), what="a.safetensors")
    return parse_header(file[8 : 8 + length], file_bytes=len(file), what="a.safetensors")


def one(dtype: object = "U8", shape: object = (4,), offsets: object = (0, 4)) -> dict[str, object]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def test_tensors_come_in_the_order_of_their_bytes_with_their_places_in_the_file() -> None:
    header = {
        "b": {"dtype": "F32", "shape": [2, 1], "data_offsets": [2, 10]},
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "BF16", "shape": [], "data_offsets": [0, 2]},
    }
    file = make_file(header, bytes(10))
    begin = len(file) - 10
    assert parse(file) == (
        PlacedTensor("a", "BF16", (), begin, begin + 2),
        PlacedTensor("b", "F32", (2, 1), begin + 2, begin + 10),
    )


def test_a_file_without_tensors_and_tensors_without_bytes_are_valid() -> None:
    assert parse(make_file({}, b"")) == ()
    (empty, full) = parse(make_tensors({"empty": ("F32", [0, 5], b""), "full": ("U8", [1], b"x")}))
    assert (empty.shape, empty.start) == ((0, 5), full.start)


def test_padding_behind_the_header_is_taken() -> None:
    assert parse(make_tensors({"w": ("U8", [3], b"abc")}, padding=5))[0].shape == (3,)


def test_a_dtype_of_less_than_a_byte_is_measured() -> None:
    assert parse(make_file(one(dtype="F4", shape=[4, 2]), b"abcd"))[0].shape == (4, 2)
    with pytest.raises(CorruptError, match="not its shape's size in F4"):
        parse(make_file(one(dtype="F4", shape=[7]), b"abcd"))


def test_fields_that_are_not_the_format_s_are_passed_over() -> None:
    assert parse(make_file({"w": {**one()["w"], "quant": "x"}}, bytes(4)))[0].shape == (4,)  # type: ignore[dict-item]


NUMBERS = st.sampled_from([0, 1, 2, 4, 8, -1, 2**61, 2**63, 2**64, 1.0, True, None, "1"])
DTYPES = st.sampled_from([*BITS, "F128", "f32", "", None, 4, {"U8": None}, {"U8": 1}, {"U8": None, "I8": None}])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.fixed_dictionaries(
    {"dtype": DTYPES, "shape": st.lists(NUMBERS, max_size=3), "data_offsets": st.lists(NUMBERS, min_size=2, max_size=2)}
)
ENTRIES = (
    FIELDS
    | st.builds(lambda entry, more: {**more, **entry}, FIELDS, st.dictionaries(st.text(max_size=5), VALUES, max_size=2))
    | st.builds(lambda entry: list(entry.values()), FIELDS)
    | VALUES
)


@st.composite
def headers(draw: st.DrawFn) -> tuple[object, int]:
    """Return a header that is nearly right, and how many bytes its tensors have."""
    header: dict[str, object] = {}
    end = 0
    for name in draw(st.lists(st.text(max_size=3), max_size=3, unique=True)):
        dtype = draw(st.sampled_from([*BITS]))
        shape = draw(st.lists(st.sampled_from([0, 1, 2, 3, 8]), max_size=4))
        size = math.prod(shape) * BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    for name in draw(st.lists(st.sampled_from([*header, "x", "__metadata__"]), max_size=2)):
        header[name] = draw(ENTRIES)
    return header, end + draw(st.sampled_from([0, 0, 0, 0, 1, -1]))


@settings(max_examples=of_hundred(250))
@given(headers(), st.sampled_from([b"", b"", b" ", b"\n", b"\0", b"}"]))
def test_what_the_format_s_own_library_opens_is_read_and_what_it_refuses_is_refused(
    drawn: tuple[object, int], padding: bytes
) -> None:
    header, content_bytes = drawn
    file = make_file(json.dumps(header).encode() + padding, bytes(max(0, content_bytes)))
    try:
        opened = deserialize(file)  # type: ignore[no-untyped-call]
        theirs = {name: (entry["dtype"], list(entry["shape"])) for name, entry in opened}
    except SafetensorError:
        theirs = None
    try:
        ours = {tensor.name: (tensor.dtype, list(tensor.shape)) for tensor in parse(file)}
    except CorruptError:
        ours = None
    assert ours == theirs


@pytest.mark.parametrize(
    "text",
    [
        b'{"__metadata__":null,%s}',
        b'{"__metadata__":{},%s}',
        b'{%s,"x":{"dtype":"U8","shape":[0],"data_offsets":[4,4],"y":' + b"[" * 124 + b"]" * 124 + b"}}",
        b'{%s,"x":{"dtype":"U8","shape":[0],"data_offsets":[4,4],"y":' + b"[" * 125 + b"]" * 125 + b"}}",
        b'{%s,"x":{"dtype":"U8","shape":[0],"data_offsets":[4,4],"y":' + b"[" * 126 + b"]" * 126 + b"}}",
        b'{%s,"x":{"dtype":"U8","shape":[-0],"data_offsets":[4,4]}}',
        b'{%s,"x":{"dtype":"U8","shape":[0],"data_offsets":[4,4],"y":1e400}}',
        b'{%s,"x":{"dtype":"U8","shape":[0],"data_offsets":[4,4],"y":' + b"1" * 400 + b"}}",
        b'{%s,"x":{"dtype":"U8","shape":[0],"data_offsets":[4,4],"y":Infinity}}',
        b'{%s,"x":{"dtype":"U8","shape":[0],"data_offsets":[4,4],"y":"\\udc00"}}',
        b'{%s,"x":{"dtype":"U8","shape":[0],"data_offsets":[4,4],"y":"\x01"}}',
        b"{%s}\x00",
    ],
)
def test_odd_headers_are_read_as_the_format_s_own_library_does(text: bytes) -> None:
    file = make_file(text % b'"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}', bytes(4))
    try:
        count = len(deserialize(file))  # type: ignore[no-untyped-call]
    except SafetensorError:
        with pytest.raises(CorruptError):
            parse(file)
    else:
        assert len(parse(file)) == count


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", "0 bytes of 0"),
        (b"\x00" * 7, "0 bytes of 7"),
        (make_file({}, b"", length=3), "3 bytes of 10"),
        (make_file({}, b"", length=2**64 - 1), "18,446,744,073,709,551,615 bytes"),
        (make_file({}, b"", length=0), "not a JSON object"),
        (make_file(b"[]", b""), "not a JSON object"),
        (make_file(b" {}", b""), "not a JSON object"),
        (make_file(b"{", b""), "not valid JSON"),
        (make_file(b"{}x", b""), "not valid JSON"),
        (make_file(b'{"\xff": 1}', b""), "not valid JSON"),
        (make_file(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b""), "not valid JSON"),
        (make_file(b'{"a": %s}' % (b"1" * 5_000), b""), "not valid JSON"),
        (make_file(b'{"w": %s, "w": %s}' % ((json.dumps(one()["w"]).encode(),) * 2), bytes(4)), "not valid JSON"),
        (make_file({"w": []}, b""), "does not have a dtype"),
        (make_file({"w": {"dtype": "U8", "shape": [4]}}, bytes(4)), "does not have a dtype"),
        (make_file(one(dtype=None), bytes(4)), "no dtype that readers know"),
        (make_file(one(dtype="\x1b[2J"), bytes(4)), "no dtype that readers know"),
        (make_file(one(shape=4), bytes(4)), "no shape"),
        (make_file(one(shape=[-4]), bytes(4)), "no shape"),
        (make_file(one(shape=[4.0]), bytes(4)), "no shape"),
        (make_file(one(shape=[True, 4]), bytes(4)), "no shape"),
        (make_file(one(shape=[2**61, 2**61, 0]), bytes(4)), "larger than any file"),
        (make_file(one(dtype="Q3_NEW"), bytes(4)), "no dtype that readers know"),
        (make_file(one(dtype="u8"), bytes(4)), "no dtype that readers know"),
        (make_file({"__metadata__": {"x": {"y": 1}}, **one()}, bytes(4)), "its metadata are not texts"),
        (make_file({"__metadata__": {"x": None}, **one()}, bytes(4)), "its metadata are not texts"),
        (make_file({"__metadata__": [], **one()}, bytes(4)), "its metadata are not texts"),
        (make_file({"__metadata__": "x", **one()}, bytes(4)), "its metadata are not texts"),
        (make_file(one(shape=[2**64, 0], offsets=[0, 0]), b""), "no shape"),
        (make_file(b'{"x": NaN}', b""), "not valid JSON"),
        (make_file(b'{"x": 1e400}', b""), "not valid JSON"),
        (make_file(b'{"\\ud800": 1}', b""), "not valid JSON"),
        (make_file(one(shape=[5]), bytes(4)), "not its shape's size in U8"),
        (make_file(one(dtype="F32"), bytes(4)), "not its shape's size in F32"),
        (make_file(one(offsets=[0]), bytes(4)), "two offsets"),
        (make_file(one(offsets=[4, 0]), bytes(4)), "two offsets"),
        (make_file(one(offsets=[-4, 0]), bytes(4)), "two offsets"),
        (make_file(one(offsets=["0", "4"]), bytes(4)), "two offsets"),
        (make_file(one(offsets=[1, 5]), bytes(5)), "leaves a gap"),
        (make_file(one(), bytes(3)), "end at byte"),
        (make_file(one(), bytes(5)), "end at byte"),
        (make_file({**one(), "v": one(offsets=[2, 6])["w"]}, bytes(6)), "overlaps another"),
        (make_file({**one(), "v": one()["w"]}, bytes(4)), "overlaps another"),
        (make_file({**one(), "v": one(offsets=[5, 9])["w"]}, bytes(9)), "leaves a gap"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_header_that_contradicts_itself_or_its_file_is_corrupt(file: bytes, words: str) -> None:
    with pytest.raises(CorruptError, match=r"^a\.safetensors is not a valid safetensors file: .*" + words):
        parse(file)


def test_a_header_that_is_valid_but_too_large_to_be_read_is_refused_by_its_length_alone() -> None:
    prefix = (LARGEST_HEADER_BYTES + 1).to_bytes(8, "little")
    with pytest.raises(UnsupportedError, match="at most 8,388,608 are read"):
        parse_length(prefix, file_bytes=2**40, what="a.safetensors")
    with pytest.raises(CorruptError):
        parse_length((100_000_001).to_bytes(8, "little"), file_bytes=2**40, what="a.safetensors")
