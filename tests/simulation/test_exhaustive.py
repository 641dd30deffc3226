"""Every schedule of two short writers of one register, and every point at which one thing can go wrong for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_alias
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.settings import decode_registry
from simulation.actors import CHAT, PRODUCTION, Attempt, History, Operation, program
from simulation.faults import Faults
from simulation.oracle import find_broken_promises
from simulation.scenes import Beginning, begin
from simulation.world import ExhaustiveScript, World

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.settings import RegistryDocument

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
