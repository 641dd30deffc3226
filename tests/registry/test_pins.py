from __future__ import annotations

import pytest

from bucketry.registry.core.registers import load_existing_head, load_head
from bucketry.registry.core.rows import load_dossier, load_row
from bucketry.registry.serving.auditing import load_audit
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.pins import find_children, release_pins
from bucketry.schema.documents.dossier import Pin
from bucketry.schema.names import Digest, ModelName
from registry.people import CHAT, Office, open_office
from simulation.actors import BASE
from simulation.scenes import base_parent

CHILD = ModelName("acme", "child")


@pytest.fixture
def office() -> Office:
    return open_office()


def pins(office: Office, version: int = 1) -> tuple[Pin, ...]:
    session = office.session()
    head = load_existing_head(session, BASE)
    return load_dossier(session, head, load_row(session, head, version)).dependents


def epoch(office: Office, model: ModelName) -> int | None:
    head = load_head(office.session(), model).state
    return head.epoch if head else None


def test_the_children_of_a_manifest_are_found_newest_first(office: Office) -> None:
    for notes in ("one", "two"):
        office.publish(CHILD, notes=notes, parent=base_parent(1))
    office.publish(CHILD, notes="of another base", parent=base_parent(2))
    office.publish(CHILD, notes="of none")
    session = office.session()
    head = load_existing_head(session, CHILD)
    assert [row.version for row in find_children(session, head, base_parent(1).manifest)] == [2, 1]
    assert find_children(session, head, Digest("ab" * 32)) == ()
    delete_version(office.session(), CHILD, 2)
    session = office.session()
    head = load_existing_head(session, CHILD)
    assert [row.version for row in find_children(session, head, base_parent(1).manifest)] == [1]


def test_a_pin_with_a_live_child_stays_and_nothing_is_fenced(office: Office) -> None:
    office.publish(CHILD, parent=base_parent(1))
    before = pins(office)
    assert before == (Pin(CHILD, 1),)
    release_pins(office.session(), BASE, 1)
    assert pins(office) == before
    assert epoch(office, CHILD) == 1


def test_a_pin_is_dropped_after_the_childs_head_was_fenced(office: Office) -> None:
    office.publish(CHILD, parent=base_parent(1))
    delete_version(office.session(), CHILD, 1)
    release_pins(office.session(), BASE, 1)
    assert pins(office) == ()
    assert epoch(office, CHILD) == 2


def test_only_the_pins_of_that_version_are_looked_at(office: Office) -> None:
    office.publish(CHILD, parent=base_parent(1))
    office.publish(CHAT, notes="of the other", parent=base_parent(2))
    delete_version(office.session(), CHILD, 1)
    release_pins(office.session(), BASE, 1)
    assert (pins(office, 1), pins(office, 2)) == ((), (Pin(CHAT, 1),))
    assert epoch(office, CHAT) == 1


def test_an_epoch_that_is_past_the_pin_is_not_raised_again(office: Office) -> None:
    for version in (1, 2):
        office.publish(CHILD, notes=f"of {version}", parent=base_parent(version))
    for version in (1, 2):
        delete_version(office.session(), CHILD, version)
    release_pins(office.session(), BASE, 1)
    release_pins(office.session(), BASE, 2)
    assert (pins(office, 1), pins(office, 2)) == ((), ())
    assert epoch(office, CHILD) == 2
    fences = [entry for entry in load_audit(office.session(), CHILD).entries if entry.record.action == "raise-epoch"]
    assert len(fences) == 1
