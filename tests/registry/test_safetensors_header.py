"""Is a header believed only where it agrees with itself and with the file?"""

from __future__ import annotations

import json

import pytest

from bucketry.errors import CorruptError, UnsupportedError
from bucketry.registry.safetensors_header import LARGEST_HEADER_BYTES, PlacedTensor, parse_header, parse_length
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


def test_a_dtype_of_the_future_is_listed_and_one_of_less_than_a_byte_is_measured() -> None:
    assert parse(make_file(one(dtype="Q3_NEW", shape=[7]), b"abcd"))[0].dtype == "Q3_NEW"
    assert parse(make_file(one(dtype="F4", shape=[4, 2]), b"abcd"))[0].shape == (4, 2)
    with pytest.raises(CorruptError, match="not its shape's size in F4"):
        parse(make_file(one(dtype="F4", shape=[7]), b"abcd"))


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
        (make_file({"w": []}, b""), "does not have exactly"),
        (make_file({"w": {"dtype": "U8", "shape": [4]}}, bytes(4)), "does not have exactly"),
        (make_file({"w": {**one()["w"], "more": 1}}, bytes(4)), "does not have exactly"),  # type: ignore[dict-item]
        (make_file(one(dtype=None), bytes(4)), "no dtype that is a name"),
        (make_file(one(dtype="\x1b[2J"), bytes(4)), "no dtype that is a name"),
        (make_file(one(shape=4), bytes(4)), "no shape"),
        (make_file(one(shape=[-4]), bytes(4)), "no shape"),
        (make_file(one(shape=[4.0]), bytes(4)), "no shape"),
        (make_file(one(shape=[True, 4]), bytes(4)), "no shape"),
        (make_file(one(shape=[1] * 33), bytes(4)), "no shape"),
        (make_file(one(shape=[2**61, 0]), bytes(4)), "larger than any file"),
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
