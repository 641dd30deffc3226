from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bucketry.errors import CorruptError, RejectedError, UsageError
from bucketry.schema.codec import Fields, decode, encode
from bucketry.schema.documents.audit import (
    BLOCK_RECORDS,
    LARGEST_RECORD_BYTES,
    MOST_RECENT_RECORDS,
    NO_RECORD,
    AuditAction,
    Record,
    Trail,
    block_starts,
    continue_trail,
    decode_block,
    encode_block,
    find_chain_fault,
    parse_actor,
    parse_time,
    read_trail,
)
from bucketry.schema.names import Digest
from examples import of_hundred

FORMAT_PAGE = Path(__file__).parents[2] / "docs" / "format.md"


def record(number: int, *, action: str = "publish") -> Record:
    return Record(
        generation=0,
        transaction=f"{number:032x}",
        at="2026-03-03T12:00:00.000Z",
        actor="a@example.org",
        action=action,
        target=str(number),
        previous=Digest(""),
        detail={"reason": f"number {number}"} if number % 2 else {},
    )


def grow(count: int) -> tuple[Trail, list[tuple[Record, ...]]]:
    """Return a trail after so many commits, and the blocks that left it."""
    trail, blocks = Trail(), []
    for number in range(1, count + 1):
        trail, leaving = trail.extended(continue_trail(trail, record(number)))
        if leaving:
            blocks.append(leaving)
    return trail, blocks


def reread(trail: Trail) -> Trail:
    return read_trail(Fields(decode(encode(trail.to_document() | {"format": 1}), what="head"), what="head"))


@settings(max_examples=of_hundred(40))
@given(st.integers(1, 300))
def test_nothing_is_lost_between_the_blocks_and_the_recent_records(count: int) -> None:
    trail, blocks = grow(count)
    records = [one for block in blocks for one in block] + list(trail.records)
    assert [one.generation for one in records] == list(range(1, count + 1))
    assert find_chain_fault(records) == ""
    assert len(trail.records) <= MOST_RECENT_RECORDS
    assert len(trail.records) > BLOCK_RECORDS or count <= MOST_RECENT_RECORDS
    assert list(block_starts(trail)) == [block[0].generation for block in blocks]
    assert all(len(block) == BLOCK_RECORDS for block in blocks)
    assert [decode_block(encode_block(block), what="block") for block in blocks] == blocks
    assert reread(trail) == trail


def test_a_trail_seals_its_first_block_with_the_65th_commit() -> None:
    assert grow(64)[1] == []
    trail, blocks = grow(65)
    assert [one.generation for one in blocks[0]] == list(range(1, 33))
    assert trail.records[0].generation == 33


def test_racing_committers_seal_the_same_bytes() -> None:
    trail, _ = grow(64)
    one = trail.extended(continue_trail(trail, record(1001)))[1]
    other = trail.extended(continue_trail(trail, record(2002, action="edit")))[1]
    assert encode_block(one) == encode_block(other)


def test_a_record_is_found_by_its_transaction() -> None:
    trail, _ = grow(40)
    found = trail.find(f"{17:032x}")
    assert found is not None
    assert found.generation == 17
    assert trail.find("f" * 32) is None
    assert grow(100)[0].find(f"{17:032x}") is None


def test_a_record_over_400_bytes_is_rejected() -> None:
    trail, _ = grow(3)
    fitting = continue_trail(trail, replace(record(4), detail={"x": ""}))
    room = LARGEST_RECORD_BYTES - len(encode(fitting.to_document()))
    trail.extended(replace(fitting, detail={"x": "y" * room}))
    with pytest.raises(RejectedError, match="401 bytes"):
        trail.extended(replace(fitting, detail={"x": "y" * (room + 1)}))


@settings(max_examples=of_hundred(60))
@given(st.integers(2, 100), st.integers(0, 99), st.sampled_from(["at", "actor", "action", "target", "transaction"]))
def test_a_change_of_any_record_but_the_newest_breaks_the_chain(count: int, chosen: int, name: str) -> None:
    trail, blocks = grow(count)
    records = [one for block in blocks for one in block] + list(trail.records)
    index = chosen % (count - 1)
    changes: dict[str, Any] = {name: "f" * 32}
    records[index] = replace(records[index], **changes)
    assert find_chain_fault(records) == f"generation {index + 2} does not follow from generation {index + 1}"


def test_each_fault_of_a_chain_is_named() -> None:
    records = list(grow(10)[0].records)
    assert find_chain_fault([]) == ""
    assert find_chain_fault(records[:4] + records[5:]) == "the record of generation 5 is missing (found 6)"
    assert find_chain_fault(records[1:]) == "the record of generation 1 is missing (found 2)"
    forged = continue_trail(Trail(tuple(records)), replace(record(11), transaction=records[3].transaction))
    assert find_chain_fault([*records, forged]) == f"transaction {records[3].transaction} stands twice"
    forked = replace(records[9], previous=NO_RECORD)
    assert "does not follow" in find_chain_fault([*records[:9], forked])


def test_the_first_record_follows_from_nothing() -> None:
    assert grow(1)[0].records[0].previous == NO_RECORD
    assert (Trail().generation, Trail().transaction, Trail().tip) == (0, "", NO_RECORD)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"generation": 11}, "not that of generation 11"),
        ({"transaction": "f" * 32}, "not that of generation"),
        ({"recent": []}, "not that of generation"),
    ],
)
def test_a_register_whose_newest_record_is_not_its_own_is_corrupt(change: dict[str, object], words: str) -> None:
    document = grow(10)[0].to_document() | change
    with pytest.raises(CorruptError, match=words):
        read_trail(Fields(document, what="head"))


def test_a_register_with_a_gap_in_its_records_is_corrupt() -> None:
    document = grow(10)[0].to_document()
    del document["recent"][4]
    with pytest.raises(CorruptError, match="4 is followed by 6"):
        read_trail(Fields(document, what="head"))


def test_records_that_begin_within_a_block_are_corrupt() -> None:
    document = grow(10)[0].to_document()
    del document["recent"][0]
    with pytest.raises(CorruptError, match="start of a block"):
        read_trail(Fields(document, what="head"))


@pytest.mark.parametrize("count", [0, 1, 31])
def test_a_block_of_another_length_is_corrupt(count: int) -> None:
    block = grow(65)[1][0]
    with pytest.raises(CorruptError, match="not a block of 32"):
        decode_block(encode_block(block[:count]), what="block")


def test_a_block_that_is_not_aligned_is_corrupt() -> None:
    records = grow(60)[0].records
    with pytest.raises(CorruptError, match="not a block of 32"):
        decode_block(encode_block(records[1:33]), what="block")


def test_a_block_with_a_gap_is_corrupt() -> None:
    records = grow(60)[0].records
    with pytest.raises(CorruptError, match="followed by"):
        decode_block(encode_block((*records[:31], records[40])), what="block")


def test_unknown_fields_of_a_record_survive_and_count_for_the_chain() -> None:
    trail, _ = Trail().extended(continue_trail(Trail(), replace(record(1), extra={"signed": {"by": "x"}})))
    assert reread(trail) == trail
    assert reread(trail).tip == trail.tip
    assert replace(trail.records[0], extra={}).digest != trail.tip


@pytest.mark.parametrize("text", ["", "a\nb", "x" * 65, "é" * 33, "\x1b[31m", "a\u202eb"])
def test_what_cannot_be_an_identity(text: str) -> None:
    with pytest.raises(UsageError):
        parse_actor(text)


@pytest.mark.parametrize("text", ["a@example.org", "x" * 64, "é" * 32, "Ann Lee"])
def test_what_can_be_an_identity(text: str) -> None:
    assert parse_actor(text) == text


@pytest.mark.parametrize("text", ["2026-03-03T12:00:00Z", "2026-03-03T12:00:00.123Z"])
def test_what_is_a_time(text: str) -> None:
    assert parse_time(text) == text


@pytest.mark.parametrize("text", ["", "2026-03-03", "2026-03-03T12:00:00", "2026-03-03T12:00:00+01:00", "now"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError):
        parse_time(text)


def test_the_format_says_of_each_action_what_it_is() -> None:
    rows = [line for line in FORMAT_PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert [action for action in AuditAction if not any(f"`{action}`" in row for row in rows)] == []
