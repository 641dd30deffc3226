"""Does a watch with a trust file tell only what the file accepts, say once what it leaves out, and go on?"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.client import open_reader, open_registry
from bucketry.errors import UnavailableError
from bucketry.registry.serving.watch import WatchedMove, watch
from bucketry.schema import keys
from bucketry.schema.documents.reviews import Action
from bucketry.schema.documents.states import State
from bucketry.schema.names import parse_reference
from trust.people import ANNA, AUTHOR, BERT, CHAT, PRODUCTION
from trust.world import ALIAS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucketry.client import Reader
    from bucketry.errors import BucketryError
    from bucketry.store.contract import ETag, Object
    from trust.world import World

REFERENCE = "risk/chat@production"
Told = list[tuple[int | None, str | None]]


class EnoughError(Exception):
    """The watch has slept as often as the test lets it."""


def scripted(reader: Reader, steps: list[Callable[[], object]]) -> Reader:
    """Return the reader, with one step done in each pause between two looks; after the last it is interrupted."""

    def sleep(_: float) -> None:
        if not steps:
            raise EnoughError
        steps.pop(0)()

    return replace(reader, session=replace(reader.session, clock=replace(reader.session.clock, sleep=sleep)))


def collect(moves: Iterator[WatchedMove], told: list[WatchedMove]) -> None:
    """Keep every move until the watch is interrupted."""
    with suppress(EnoughError):
        told.extend(moves)


def watched(world: World, *steps: Callable[[], object]) -> tuple[Told, list[tuple[int | None, str]]]:
    """Return the version and state of each move that was told, and the version and reason of each left out."""
    told: list[WatchedMove] = []
    refused: list[tuple[int | None, str]] = []

    def note(move: WatchedMove, refusal: BucketryError) -> None:
        refused.append((move.version, refusal.message))

    with open_reader(world.url, trust=world.trust()) as reader:
        session = scripted(reader, list(steps)).session
        collect(watch(session, parse_reference(REFERENCE), on_refusal=note), told)
    return [(move.version, move.state) for move in told], refused


def nothing() -> None:
    """Let time pass."""


def approve(world: World, version: int) -> None:
    for person in (ANNA, BERT):
        world.decide(person, Action.APPROVE, version)


def unset(world: World) -> None:
    with open_registry(world.url, identity=AUTHOR.principal) as registry:
        registry.unset(str(CHAT), PRODUCTION)


def test_a_move_that_nobody_signed_is_left_out_once_and_the_next_accepted_one_is_told(approved: World) -> None:
    approved.publish("weights 2")
    approved.publish("weights 3")
    approve(approved, 3)
    told, refused = watched(approved, lambda: approved.promote(2), nothing, lambda: approved.promote(3), nothing)
    assert told == [(1, State.APPROVED), (3, State.APPROVED)]
    [(version, reason)] = refused
    assert version == 2
    assert f"{CHAT}@{PRODUCTION} (version 2) is not trusted here: it has 0 of 2 approvals" in reason


def test_a_version_that_is_left_out_is_told_once_it_is_accepted(unapproved: World) -> None:
    told, refused = watched(
        unapproved,
        lambda: unapproved.decide(ANNA, Action.APPROVE, 1),
        nothing,
        lambda: unapproved.decide(BERT, Action.APPROVE, 1),
        nothing,
    )
    assert told == [(1, State.APPROVED)]
    assert [version for version, _ in refused] == [1, 1]  # a new state of the version is a move, too


def test_back_to_the_version_that_was_told_is_a_move(approved: World) -> None:
    approved.publish("weights 2")
    told, refused = watched(approved, lambda: approved.promote(2), lambda: approved.promote(1), nothing)
    assert told == [(1, State.APPROVED), (1, State.APPROVED)]
    assert [version for version, _ in refused] == [2]


def test_that_the_version_told_last_is_rejected_is_told_and_of_no_other(approved: World) -> None:
    approved.publish("weights 2")
    told, refused = watched(
        approved,
        lambda: approved.decide(BERT, Action.REVOKE, 1),
        lambda: approved.promote(2),
        lambda: approved.decide(BERT, Action.REJECT, 2),
        nothing,
    )
    assert told == [(1, State.APPROVED), (1, State.REJECTED)]
    assert [version for version, _ in refused] == [2, 2]


def test_that_an_alias_names_nothing_any_more_is_told(approved: World) -> None:
    assert watched(approved, lambda: unset(approved), nothing) == ([(1, State.APPROVED), (None, None)], [])


def test_an_alias_that_went_back_since_the_last_pull_is_left_out(approved: World) -> None:
    before = approved.store.get(ALIAS_KEY).body
    approved.publish("weights 2")
    approve(approved, 2)
    approved.promote(2)
    assert approved.resolve().version == 2
    newest = approved.store.get(ALIAS_KEY).body
    approved.overwrite(ALIAS_KEY, before)
    told, refused = watched(approved, lambda: approved.overwrite(ALIAS_KEY, newest), nothing)
    assert told == [(2, State.APPROVED)]
    [(version, reason)] = refused
    assert version == 1
    assert "rollback of the bucket" in reason


def test_a_version_without_its_manifest_is_left_out(approved: World) -> None:
    approved.publish("weights 2")
    approve(approved, 2)
    with open_reader(approved.url) as reader:
        digest = reader.resolve(f"{CHAT}:2").digest

    def promote_and_lose_it() -> None:
        approved.promote(2)
        approved.store.delete(keys.manifest(CHAT, digest))

    told, refused = watched(approved, promote_and_lose_it, nothing)
    assert told == [(1, State.APPROVED)]
    assert [version for version, _ in refused] == [2]


def test_a_store_that_goes_away_before_the_judgement_is_waited_for(approved: World) -> None:
    away, told = [True, True], list[WatchedMove]()
    with open_reader(approved.url, trust=approved.trust()) as reader:
        real = reader.session.store

        class Flaky:
            def get(self, key: str, *, unless: ETag | None = None) -> Object:
                if key != ALIAS_KEY and away:
                    away.pop()
                    raise UnavailableError("away")
                return real.get(key, unless=unless)

        flaky = replace(reader, session=replace(reader.session, store=Flaky()))  # type: ignore[arg-type]
        collect(scripted(flaky, [nothing] * 4).watch(REFERENCE), told)
    assert ([move.version for move in told], away) == ([1], [])


def test_a_reader_with_a_trust_file_watches_by_it(approved: World) -> None:
    approved.publish("weights 2")
    approve(approved, 2)
    approved.publish("weights 3")
    with open_reader(approved.url, trust=approved.trust()) as reader:
        watching = scripted(reader, [lambda: approved.promote(3), lambda: approved.promote(2)]).watch(REFERENCE)
        assert [next(watching).version, next(watching).version] == [1, 2]
        watching.close()  # type: ignore[attr-defined]
