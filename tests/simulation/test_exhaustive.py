"""Every schedule of two short writers of one register, and every point at which one thing can go wrong for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.maintenance.gc.collection import ALL_AGES
from bucketry.maintenance.gc.model import free_model, plan_model
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_alias, load_head
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.settings import decode_registry
from bucketry.store.contract import Entry
from simulation.actors import (
    CHAT,
    CONTENTS,
    PRODUCTION,
    Attempt,
    History,
    Operation,
    Result,
    program,
    publishing,
)
from simulation.faults import Faults, SimulatedStore
from simulation.oracle import find_broken_promises, find_freed
from simulation.scenes import Beginning, begin, founder
from simulation.world import ExhaustiveScript, World

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.settings import RegistryDocument
    from bucketry.store.contract import Condition, ETag, Object

MOST_RUNS = 10_000
SMALLEST = Beginning(versions=1, moves=1, bases=0)


@pytest.mark.parametrize(
    ("kind", "least_runs"),
    [
        ("", 10),
        ("reply lost", 100),
        ("lost", 100),
        ("conflict", 100),
        ("conflict after success", 100),
        ("twice", 50),
        ("twice, first replies", 50),
        ("slow down after success", 50),
        ("crash before", 20),
        ("crash after", 20),
        pytest.param("arrives late", 1_000, marks=pytest.mark.deep),  # 8 seconds: most of all
        ("late, then crash", 50),
        ("again later", 100),
    ],
)
def test_every_schedule_of_two_writers_keeps_every_promise(kind: str, least_runs: int) -> None:
    script = ExhaustiveScript()
    outcomes = set()
    for number in range(1, MOST_RUNS + 1):
        world, history = _run(script, kind)
        broken = find_broken_promises(world, history)
        assert not broken, (broken, world.trace)
        outcomes.add(tuple(sorted((attempt.kind, attempt.status) for attempt in history.attempts)))
        if not script.advance():
            assert number >= least_runs
            break
    else:
        pytest.fail(f"more than {MOST_RUNS} schedules")
    assert (("touch a", "acknowledged"), ("touch b", "acknowledged")) in outcomes


@pytest.mark.parametrize(
    ("kind", "least_runs"),
    [
        ("", 100),
        pytest.param("crash after", 1_000, marks=pytest.mark.deep),
        pytest.param("reply lost", 1_000, marks=pytest.mark.deep),
        pytest.param("conflict after success", 1_000, marks=pytest.mark.deep),
        pytest.param("again later", 1_000, marks=pytest.mark.deep),
    ],
)
def test_every_schedule_of_a_publish_that_finds_its_bytes_and_a_collection_that_frees_them(
    kind: str, least_runs: int
) -> None:
    script = ExhaustiveScript()
    outcomes = set()
    for number in range(1, MOST_RUNS + 1):
        world, history = _run_collection(script, kind)
        broken = find_freed(world)
        assert not broken, (broken, world.trace)
        head = load_head(founder(world.bucket), CHAT).state
        outcomes.add(head.rows[-1].placement if head is not None else None)
        if not script.advance():
            assert number >= least_runs
            break
    else:
        pytest.fail(f"more than {MOST_RUNS} schedules")
    assert all(attempt.status != "failed" for attempt in history.attempts if attempt.kind == "publish")
    assert outcomes >= {((1, 1),), ((2, 1),)}  # the publisher was first, or the collection was


class Decisive(SimulatedStore):
    """A store of which only heads and blobs are switching points: the order of all else decides nothing here."""

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        return super().get(key, unless=unless) if key.startswith(keys.HEADS) else self._bucket.get(key, unless=unless)

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        put = super().put if key.startswith(keys.HEADS) else self._bucket.put
        return put(key, body, condition)


def _run_collection(script: ExhaustiveScript, kind: str) -> tuple[World, History]:
    """Run a publisher whose bytes lie there already, of no version, against the freeing that was planned before."""
    world, history = World(script), History()
    begin(world, SMALLEST)
    world.bucket.put_blob(keys.blob(CHAT, 1, digest_of(CONTENTS[4])), memoryview(CONTENTS[4]))
    faults = Faults(budget=1 if kind else 0, writes=[kind], reads=[])
    registry = decode_registry(world.bucket.get(keys.REGISTRY).body, what=keys.REGISTRY)
    listed = (entry for entry in world.bucket.list(keys.blobs(CHAT)) if isinstance(entry, Entry))
    plan = plan_model(founder(world.bucket), CHAT, listed, ALL_AGES)
    publish = publishing("found", [4], key="found")

    def decisive(session: Session) -> Session:
        return replace(session, store=Decisive(world, faults), _registry=[registry])

    def free(session: Session, _: Attempt) -> None:
        free_model(decisive(session), plan)

    def act(session: Session, attempt: Attempt) -> Result:
        return publish.act(decisive(session), attempt)

    world.add("publisher", program(history, faults, [replace(publish, act=act)]))
    world.add("collector", program(history, faults, [Operation("collect", keys.head(CHAT), free)]))
    world.run()
    return world, history


def _run(script: ExhaustiveScript, kind: str) -> tuple[World, History]:
    world, history = World(script), History()
    begin(world, SMALLEST)
    faults = Faults(budget=1 if kind else 0, writes=[kind], reads=[])
    registry = decode_registry(world.bucket.get(keys.REGISTRY).body, what=keys.REGISTRY)
    for name in ("a", "b"):
        world.add(name, program(history, faults, [_touching(name, registry)]))
    world.run()
    return world, history


def _touching(name: str, registry: RegistryDocument) -> Operation:
    """Return a commit of two requests: one read and one conditional write.

    The registry's own document, which each process reads once, is known to both: it never changes here, and a third
    request would make ten times as many schedules.
    """

    def edit(old: AliasRegister | None) -> Change[AliasRegister]:
        assert old is not None
        return Change(old, AuditAction.RECHECK_PROMOTIONS, target=name)

    def act(session: Session, _: Attempt) -> None:
        commit_alias(replace(session, _registry=[registry]), CHAT, PRODUCTION, edit)

    return Operation(f"touch {name}", keys.alias(CHAT, PRODUCTION), act)
