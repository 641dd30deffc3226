from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.errors import CorruptError
from bucketry.schema.documents.alias import UNDOES, find_last_move, is_move, stack_moves
from bucketry.schema.documents.audit import NO_RECORD, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ACTIONS = {"p": "promote", "r": "rollback", "u": "unset", "z": "undo", "t": "recheck-promotions"}


def record(generation: int, action: str, target: int | None, previous: int | None, **detail: object) -> Record:
    at = f"2026-03-03T12:00:{generation % 60:02}.000Z"
    named = "" if target is None else str(target)
    return Record(generation, "", at, f"p{generation}", action, named, NO_RECORD, {"from": previous, **detail})


def records_of(moves: str) -> list[Record]:
    """Return the records of `p1 p2 r1 u t z`: an undo takes back the last move that stands."""
    states: list[tuple[int, int | None]] = []
    found: list[Record] = []
    now: int | None = None
    for generation, move in enumerate(moves.split(), start=1):
        action, previous = ACTIONS[move[0]], now
        if action == "recheck-promotions":
            found.append(Record(generation, "", "", "other", "recheck-promotions", move[1:], NO_RECORD))
            continue
        if action == "undo":
            undone, now = states.pop()
            found.append(record(generation, action, now, previous, undoes=undone))
            continue
        now = int(move[1:]) if move[1:] else None
        if now != previous:
            states.append((generation, previous))
        found.append(record(generation, action, now, previous))
    return found


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ("", []),
        ("p1", []),
        ("p1 p2", [1]),
        ("p1 p2 p3 r2", [1]),
        ("p1 p2 p3 r2 r1", []),
        ("p1 p2 r1 p3", [1]),
        ("p1 p2 u", [1, 2]),
        ("p1 u p2", [1]),
        ("p1 p2 r9", [1]),
        ("p1 p2 p1 p3 r1", [1, 2]),
        ("p1 t p2 t", [1]),
        ("p1 p2 p3 p4 r3 z", [1, 2, 3]),
        ("p1 p2 p3 p4 r2 z", [1, 2, 3]),
        ("p1 p2 p3 z", [1]),
        ("p1 p2 p3 r9 z", [1, 2]),
        ("p1 p2 u z", [1]),
        ("p1 z", []),
        ("p1 p2 p3 r2 z z", [1]),
        ("p1 p2 r1 z r1", []),
        ("p1 p2 r1 z t t r1", []),
        ("p1 p2 p2 z", []),
    ],
)
def test_the_versions_to_go_back_to(moves: str, expected: list[int]) -> None:
    assert list(stack_moves(records_of(moves)).now.earlier) == expected


VERSIONS = st.integers(1, 5)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("promote"), VERSIONS),
        st.tuples(st.just("rollback"), VERSIONS),
        st.tuples(st.just("unset"), st.none()),
        st.tuples(st.just("undo"), st.none()),
        st.tuples(st.just("recheck-promotions"), st.none()),
    ),
    max_size=30,
)
Named = tuple[int | None, tuple[int, ...]]


def played(operations: Sequence[tuple[str, int | None]]) -> Iterator[tuple[Record, Named]]:
    """Yield each record, and what a stack of whole states says is named then, with what lies below it.

    Nothing here derives a state from records: an undo throws the newest state away.
    """
    states: list[tuple[int, Named]] = [(0, (None, ()))]
    for generation, (action, version) in enumerate(operations, start=1):
        (undone, (now, stack)), previous = states[-1], states[-1][1][0]
        if action == "undo":
            if len(states) == 1:
                continue
            states.pop()
            target = states[-1][1][0]
            yield record(generation, "undo", target, previous, **{UNDOES: undone}), states[-1][1]
            continue
        if action == "recheck-promotions" or version == now:
            yield record(generation, "recheck-promotions", 3, None), states[-1][1]
            continue
        if version is None:
            after = stack
        elif action == "promote":
            after = (*stack, version)
        elif version in stack:
            after = stack[: max(place for place, one in enumerate(stack) if one == version) + 1]
        else:
            after = (*stack[:-1], version)
        states.append((generation, (version, after)))
        yield record(generation, action, version, previous), states[-1][1]


@given(OPERATIONS)
def test_the_records_tell_what_a_stack_of_states_tells(operations: list[tuple[str, int | None]]) -> None:
    records: list[Record] = []
    for entry, (target, stack) in played(operations):
        records.append(entry)
        found = stack_moves(records).now
        assert (found.target, found.stack) == (target, stack)


@given(OPERATIONS, st.integers(0, 30))
def test_the_last_records_alone_never_tell_another_target(operations: list[tuple[str, int | None]], begin: int) -> None:
    played_out = list(played(operations))
    some = [entry for entry, _ in played_out][begin:]
    if any(is_move(entry) for entry in some):
        assert stack_moves(some).now.target == played_out[-1][1][0]


def test_touches_and_promotions_of_what_is_there_are_no_moves() -> None:
    moved = find_last_move(reversed(records_of("p1 p2 t7 p2 t7")))
    assert moved is not None
    assert (moved.generation, moved.by, moved.previous) == (2, "p2", 1)
    assert find_last_move(records_of("t1 t2")) is None


def test_an_undo_that_names_no_move_restores_its_target_and_claims_no_more() -> None:
    forged = [*records_of("p1 p2"), record(3, "undo", 5, 2, undoes=9), record(4, "undo", 2, 5, undoes="x")]
    assert stack_moves(forged[:3]).now.stack == (5,)
    assert stack_moves(forged).now.stack == (2,)


def test_a_target_that_is_no_version_is_corrupt() -> None:
    with pytest.raises(CorruptError, match="no version"):
        stack_moves([Record(1, "", "", "", "promote", "x", NO_RECORD)])
