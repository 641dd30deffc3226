from __future__ import annotations

import hashlib
import json
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bucketry.errors import BucketryError, CorruptError, UnsupportedError, UsageError
from bucketry.schema.codec import Fields, decode, decode_foreign, decode_json, digest_of, encode
from bucketry.schema.names import parse_alias

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST_BYTES = 8 * 1024 * 1024

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
documents = st.dictionaries(texts, values, max_size=5)


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]
    return value


@given(documents)
def test_a_document_round_trips_through_its_bytes(document: dict[str, Any]) -> None:
    assert decode_foreign(encode(document), what="it") == document
    assert decode(encode({**document, "format": 1}), what="it") == {**document, "format": 1}


@given(documents)
def test_bytes_do_not_depend_on_the_order_of_the_keys(document: dict[str, Any]) -> None:
    assert encode(dict(reversed(document.items()))) == encode(document)
    again = encode(decode_foreign(encode(document), what="it"))
    assert again == encode(document)


def test_bytes_are_compact_utf8_with_sorted_keys() -> None:
    assert encode({"é": "ü", "b": [1, 2.5, None, True], "a": {}}) == '{"a":{},"b":[1,2.5,null,true],"é":"ü"}'.encode()


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"")
@example(b'{"a":1}x')
def test_any_bytes_are_decoded_or_corrupt_and_nothing_else(body: bytes) -> None:
    for read in (decode, decode_foreign, decode_json):
        try:
            read(body, what="it")
        except (CorruptError, UnsupportedError) as error:
            assert error.message.startswith("it ")  # noqa: PT017


@given(documents, st.data())
def test_damaged_bytes_are_decoded_or_corrupt_and_nothing_else(document: dict[str, Any], data: st.DataObject) -> None:
    body = bytearray(encode(document))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_foreign(bytes(body), what="it")
    except CorruptError as error:
        assert error.message.startswith("it ")  # noqa: PT017


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b'{"a":1,}', b"{'a':1}", b'{"a":1}{"b":2}', b'{"a":1} x', b'{"a":01}',
        b'{"a":+1}', b'{"a":.5}', b'{"a":1.}', b'{"a":"\n"}', b'{"a":"\\x41"}', b'{"a":"\\ud83d"}',
        b'{"a":"\\udc00\\ud800"}', b'{"\\ud800":1}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xff"}',
        b'{"a":"\xc0\x80"}', b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b'{"a":1,"a":1}',
        b'{"b":{"a":1,"\\u0061":2}}', b'[{"a":1,"a":2}]', b'{"a":NaN}', b'{"a":Infinity}',
        b'{"a":-Infinity}', b'{"a":1e999}', b'{"a":-1E999}', b'{"a":9007199254740992}',
        b'{"a":-9007199254740992}', b'{"a":' + b"1" * 5_000 + b"}", b"// comment\n{}", b'{"a":undefined}',
    ],
)  # fmt: skip
def test_what_is_not_strict_json_is_corrupt(body: bytes) -> None:
    with pytest.raises(CorruptError):
        decode_json(body, what="it")


@pytest.mark.parametrize("body", [b"[]", b"1", b'"a"', b"null", b"true", b"1.5"])
def test_a_document_is_an_object(body: bytes) -> None:
    decode_json(body, what="it")
    with pytest.raises(CorruptError, match="not a JSON object"):
        decode_foreign(body, what="it")


def test_the_largest_integers_and_escaped_pairs_are_legal() -> None:
    body = b'{"a":9007199254740991,"b":-9007199254740991,"c":"\\ud83d\\ude00","d":"\xf0\x9f\x98\x80"}'
    smile = "\U0001f600"
    assert decode_foreign(body, what="it") == {"a": 2**53 - 1, "b": 1 - 2**53, "c": smile, "d": smile}


def test_8_mib_are_the_most_in_both_directions() -> None:
    document = {"a": "x" * (LARGEST_BYTES - len(b'{"a":""}'))}
    body = encode(document)
    assert len(body) == LARGEST_BYTES
    assert decode_foreign(body, what="it") == document
    with pytest.raises(CorruptError, match="limit"):
        decode_json(body + b" ", what="it")
    with pytest.raises(UsageError, match="limit"):
        encode({"a": document["a"] + "x"})


def test_32_levels_are_the_most_in_both_directions() -> None:
    deepest = {"a": nested(31)}
    assert decode_foreign(encode(deepest), what="it") == deepest
    too_deep = {"a": nested(32)}
    with pytest.raises(CorruptError, match="32"):
        decode_json(json.dumps(too_deep).encode(), what="it")
    with pytest.raises(UsageError, match="32"):
        encode(too_deep)
    with pytest.raises(UsageError, match="32"):
        encode({"a": nested(100_000)})


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 200_000, b'["' + b'\\"' * 9 + b'",' + b"[" * 200_000])
def test_a_bomb_of_brackets_is_refused_before_it_is_parsed(body: bytes) -> None:
    with pytest.raises(CorruptError, match="32"):
        decode_json(body, what="it")


def test_brackets_in_strings_are_not_levels() -> None:
    document = {"a": "[" * 100, "b": '"[{\\"[' * 100, "[{" * 50: "\\"}
    assert decode_foreign(encode(document), what="it") == document


@pytest.mark.parametrize("body", [b'"' + b'\\"' * 1_000_000, b'"' * 1_000_001, b'"' + b"\\" * 1_000_001])
def test_strings_that_never_end_are_refused_in_linear_time(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises(CorruptError):
        decode_json(body, what="it")
    # A quadratic scan of these two megabytes takes hours: no machine is so slow that the two look alike.
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    "value",
    [
        float("nan"), float("inf"), -float("inf"), 2**53, -(2**53), 2**70, "\ud800", b"bytes", {1}, object(),
        {1: 2}, {"\ud800": 1},
    ],
)  # fmt: skip
def test_what_no_reader_would_accept_is_not_written(value: object) -> None:
    for document in ({"a": value}, {"a": [1, {"b": value}]}, {"a": (value,)}):
        with pytest.raises(UsageError):
            encode(document)


@pytest.mark.parametrize("value", [None, "1", 0, -1, True, 1.0, [], {}])
def test_a_document_says_its_format(value: object) -> None:
    with pytest.raises(CorruptError, match="format"):
        decode(encode({"format": value}), what="it")
    with pytest.raises(CorruptError, match="format"):
        decode(b"{}", what="it")


def test_a_newer_format_names_the_program_that_reads_it() -> None:
    with pytest.raises(UnsupportedError, match="format 2") as caught:
        decode(b'{"format":2,"needs":"3.1 or later"}', what="it")
    assert "3.1 or later" in caught.value.advice
    with pytest.raises(UnsupportedError) as caught:
        decode(b'{"format":2,"needs":"\\u001b[31m"}', what="it")
    assert "\x1b" not in caught.value.advice


def test_the_digest_is_the_sha256_of_the_bytes() -> None:
    assert digest_of(b"abc") == hashlib.sha256(b"abc").hexdigest()


READERS: dict[str, tuple[Callable[[Fields], object], list[object], list[object]]] = {
    "text": (lambda f: f.text("x"), ["", "a"], [None, 1, True, [], {}, "a" * 65_537]),
    "integer": (lambda f: f.integer("x"), [0, 5], [None, -1, 1.0, True, "1", [], {}]),
    "flag": (lambda f: f.flag("x"), [True, False], [None, 0, 1, "true"]),
    "number": (lambda f: f.number("x"), [0, -1.5, 3], [None, True, "1", [1]]),
    "digest": (lambda f: f.digest("x"), ["a" * 64], [None, 1, "", "A" * 64]),
    "optional_digest": (lambda f: f.optional_digest("x"), [None, "a" * 64], [1, "", False]),
    "optional_text": (lambda f: f.optional_text("x"), [None, "", "a"], [0, False, []]),
    "optional_integer": (lambda f: f.optional_integer("x"), [None, 0, 7], [False, "", 1.0, -1]),
    "parsed": (lambda f: f.parsed("x", parse_alias), ["a"], [None, "A", 1]),
    "items": (lambda f: f.items("x", most=2), [[], [1, "a"]], [{}, "ab", 0, False, [1, 2, 3]]),
    "table": (lambda f: f.table("x"), [{}, {"a": 1}], [[], "", 0, False]),
    "texts": (lambda f: f.texts("x"), [{}, {"a": "b"}], [{"a": 1}, [], {"a": None}]),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_field_of_the_right_type_is_read_as_it_is(reader: str) -> None:
    read, good, _ = READERS[reader]
    for value in good:
        assert read(Fields({"x": value}, what="it")) == value


@pytest.mark.parametrize("reader", READERS)
def test_a_field_of_a_wrong_type_is_corrupt_and_named(reader: str) -> None:
    read, _, bad = READERS[reader]
    for value in bad:
        with pytest.raises(CorruptError, match=r"^it: x"):
            read(Fields({"x": value}, what="it"))


@given(documents)
def test_wrong_types_raise_corrupt_and_nothing_else(document: dict[str, Any]) -> None:
    for read, _, _ in READERS.values():
        try:
            read(Fields({"x": document}, what="it"))
        except BucketryError as error:
            assert isinstance(error, CorruptError)  # noqa: PT017
    with pytest.raises(CorruptError, match="not an object"):
        Fields([document], what="it")


@given(documents)
def test_fields_that_nobody_asked_for_survive(document: dict[str, Any]) -> None:
    known = {"format": 1, "name": "a", "count": 3, "maybe": None, "inner": {"format": "gguf", **document}}
    fields = Fields({**document, **known}, what="it")
    inner = fields.inner("inner")
    read = {
        "name": fields.text("name"),
        "count": fields.integer("count"),
        "maybe": fields.optional_text("maybe"),
    }
    written = {"format": 1, **read, "inner": inner.rest(), **fields.rest()}
    assert written == {**document, **known}
    assert not set(fields.rest()) & set(known)


def test_a_missing_list_or_object_is_empty() -> None:
    fields = Fields({}, what="it")
    assert (fields.items("a"), fields.table("b"), fields.texts("c"), fields.inners("d")) == ([], {}, {}, [])
    assert fields.inner("e").rest() == {}


def test_an_error_names_the_way_to_the_field() -> None:
    row = Fields({"rows": [{"version": "x"}]}, what="heads/a").inners("rows")[0]
    with pytest.raises(CorruptError, match=r"^heads/a: rows: version is not"):
        row.integer("version")


def test_a_foreign_name_in_an_error_is_displayable() -> None:
    fields = Fields({"\x1b[31m": "x", "\x9bA": "A"}, what="it")
    with pytest.raises(CorruptError) as caught:
        fields.number("\x1b[31m")
    assert "\x1b" not in caught.value.message
    with pytest.raises(CorruptError) as caught:
        fields.inner("\x9bA")
    assert "\x9b" not in caught.value.message
    with pytest.raises(CorruptError) as caught:
        fields.parsed("\x9bA", parse_alias)
    assert "\x9b" not in caught.value.message


def test_how_deep_a_document_is_is_found_without_a_copy_of_it() -> None:
    body = b"[" + b'"text",{},' * 100_000 + b"[" * 40 + b"]" * 41
    tracemalloc.start()
    try:
        with pytest.raises(CorruptError, match="nested deeper"):
            decode_json(body, what="the document")
        assert tracemalloc.get_traced_memory()[1] < len(body) / 4
    finally:
        tracemalloc.stop()


def test_of_a_list_that_is_consumed_nothing_is_kept() -> None:
    items = [{"name": "a"}, {"name": "b"}]
    fields = Fields({"format": 1, "items": items}, what="a document")
    assert [inner.text("name") for inner in fields.consumed_inners("items")] == ["a", "b"]
    assert items == [None, None]
    assert fields.rest() == {}


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1,"format":1}',
        b'{"a":9007199254740993,"format":1}',
        b'{"a":NaN,"format":1}',
        b'{"a":1e999,"format":1}',
        b'{"a":"\\ud800","format":1}',
        b'\xef\xbb\xbf{"format":1}',
        b'{"a":' + b"[" * 40 + b"]" * 40 + b',"format":1}',
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b',"format":1}',
    ],
)
def test_what_no_reader_accepts_is_refused_though_the_fast_parser_would_take_it(body: bytes) -> None:
    with pytest.raises(CorruptError):
        decode(body, what="this")


@pytest.mark.parametrize(
    "body",
    [b'{"format":1,"a":1}', b'{ "a": 1, "format": 1 }', b'{"a":1.0e0,"format":1}', b'{"a":"\\u0041","format":1}'],
)
def test_what_others_wrote_in_their_own_way_is_read(body: bytes) -> None:
    assert decode(body, what="this")["a"] in {1, "A"}
