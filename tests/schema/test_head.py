from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bucketry.errors import CorruptError, RejectedError, UnsupportedError
from bucketry.schema.codec import decode, encode
from bucketry.schema.documents.audit import NO_RECORD, Record, Trail, continue_trail
from bucketry.schema.documents.head import Head, Row, SealedPages, decode_head, encode_head
from bucketry.schema.documents.states import State
from bucketry.schema.names import AliasName, Digest, ModelName
from examples import of_hundred

DIGESTS = st.binary(min_size=32, max_size=32).map(lambda raw: Digest(raw.hex()))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
EXTRAS = st.dictionaries(
    TEXTS.map(lambda text: f"x-{text}"), st.one_of(TEXTS, st.integers(-100, 100), st.none()), max_size=2
)
TIMES = st.just("2026-03-03T12:00:00.000Z")


@st.composite
def rows(draw: st.DrawFn, version: int) -> Row:
    return Row(
        version=version,
        manifest=draw(DIGESTS),
        placement=tuple(draw(st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), max_size=3))),
        size_bytes=draw(st.integers(0, 2**53 - 1)),
        created_at=draw(TIMES),
        created_by=draw(TEXTS),
        state=draw(st.sampled_from(State)),
        metrics=draw(st.dictionaries(TEXTS, st.floats(-1e9, 1e9), max_size=2)),
        dossier=draw(st.none() | DIGESTS),
        base=draw(st.none() | TEXTS.filter(bool)),
        labels=draw(st.dictionaries(TEXTS, TEXTS, max_size=1)),
        idempotency=draw(st.none() | DIGESTS.map(lambda digest: digest[:32])),
        extra=draw(EXTRAS),
    )


def trail(count: int) -> Trail:
    grown = Trail()
    for number in range(1, count + 1):
        record = Record(0, f"{number:032x}", "2026-03-03T12:00:00.000Z", "a@example.org", "x", "", NO_RECORD)
        grown, _ = grown.extended(continue_trail(grown, record))
    return grown


@st.composite
def heads(draw: st.DrawFn) -> Head:
    sealed = draw(st.integers(0, 1000))
    count = draw(st.integers(0, 4))
    return Head(
        registry=draw(TEXTS),
        model=ModelName("acme", draw(st.sampled_from(["chat", "a.b_c-d"]))),
        epoch=draw(st.integers(1, 1000)),
        next_version=sealed + count + 1,
        rows=tuple(draw(rows(sealed + number)) for number in range(1, count + 1)),
        sealed=SealedPages(sealed, draw(DIGESTS) if sealed else None),
        aliases=tuple(AliasName(name) for name in draw(st.lists(st.sampled_from(["production", "b"]), unique=True))),
        description=draw(TEXTS),
        labels=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
        policy=draw(st.none() | DIGESTS),
        trail=trail(draw(st.integers(1, 70))),
        extra=draw(EXTRAS),
    )


@settings(max_examples=of_hundred(150))
@given(heads())
def test_a_head_comes_back_as_it_was_written(head: Head) -> None:
    body = encode_head(head)
    assert decode_head(body, what="head") == head
    assert encode_head(decode_head(body, what="head")) == body


def small_head() -> Head:
    row = Row(1, Digest("a" * 64), ((1, 1),), 10, "2026-03-03T12:00:00.000Z", "a@example.org")
    return Head("r", ModelName("acme", "chat"), rows=(row,), next_version=2, trail=trail(2))


def altered(**changes: Any) -> bytes:
    return encode(decode(encode_head(small_head()), what="head") | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"next_version": 3}, "rows are not versions 1 to 2"),
        ({"sealed": {"count": 1, "directory": None}}, "rows are not versions 2 to 1"),
        ({"epoch": 0}, "epoch"),
        ({"model": "Acme/Chat"}, "model"),
        ({"model": "../chat"}, "model"),
        ({"aliases": ["latest"]}, "alias"),
        ({"aliases": [7]}, "alias"),
        ({"aliases": [f"a{number}" for number in range(65)]}, "at most 64"),
        ({"rows": [{}]}, "rows"),
        ({"policy": "x"}, "policy"),
        ({"labels": {"a": 1}}, "labels"),
        ({"recent": None}, "newest audit record"),
        ({"format": None}, "does not say in which format"),
    ],
)
def test_a_damaged_head_is_refused_with_the_field_that_is_wrong(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CorruptError, match=words) as caught:
        decode_head(altered(**changes), what="heads/acme/chat.json")
    assert "heads/acme/chat.json" in caught.value.message


@pytest.mark.parametrize("state", ["unheard-of", "", None, 7])
def test_a_state_that_nobody_knows_is_refused(state: object) -> None:
    row = decode(encode_head(small_head()), what="head")["rows"][0] | {"state": state}
    with pytest.raises(CorruptError, match="state"):
        decode_head(altered(rows=[row]), what="head")


def test_a_head_in_a_newer_format_names_the_program_that_reads_it() -> None:
    with pytest.raises(UnsupportedError) as caught:
        decode_head(altered(format=2, needs=">=3.0"), what="head")
    assert ">=3.0" in caught.value.advice


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"description": "é" * 1025}, "2048"),
        ({"aliases": tuple(AliasName(f"a{number}") for number in range(65))}, "64 aliases"),
    ],
)
def test_a_head_over_its_limits_is_not_written(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RejectedError, match=words):
        encode_head(replace(small_head(), **change))


def test_a_row_is_found_by_its_version_among_those_in_the_head() -> None:
    head = small_head()
    assert head.find_row(1) == head.rows[0]
    assert [head.find_row(version) for version in (-1, 0, 2)] == [None, None, None]
    assert Head("r", head.model).find_row(1) is None
