from __future__ import annotations

from dataclasses import replace

import pytest

from bucketry.errors import NotFoundError, RejectedError, UnavailableError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.resolve import resolve
from bucketry.registry.core.rows import find_row
from bucketry.registry.serving.aliases import promote, roll_back, unset
from bucketry.registry.serving.auditing import load_audit
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.lifecycle import retire
from bucketry.schema import keys
from bucketry.schema.documents.reviews import Action
from bucketry.schema.documents.states import State
from bucketry.schema.names import AliasName, ModelName, parse_reference
from registry.people import ANNA, BERT, CHAT, PRODUCTION, Office, open_office
from simulation.actors import BASE
from simulation.scenes import base_parent

STAGING = AliasName("staging")


@pytest.fixture
def office() -> Office:
    return open_office()


def state_of(office: Office, version: int, model: ModelName = CHAT) -> State:
    session = office.session()
    row = find_row(session, load_existing_head(session, model), version)
    assert row is not None
    return row.state


def test_a_version_that_nothing_names_is_given_up_and_its_number_is_not_used_again(office: Office) -> None:
    deleted = delete_version(office.session(), CHAT, 3, reason="a mistake")
    assert (deleted.version, deleted.size_bytes > 0) == (3, True)
    assert state_of(office, 3) is State.DELETED
    assert office.publish() == 4
    with pytest.raises(NotFoundError, match="version 3 of acme/chat was deleted"):
        resolve(office.session(), parse_reference("acme/chat:3"))
    assert check_registry(office.session()).damage == ()


def test_its_history_and_its_reason_stay(office: Office) -> None:
    office.decide(ANNA, Action.REJECT, 3)
    delete_version(office.session(ANNA), CHAT, 3, reason="a mistake " * 30)
    audit = load_audit(office.session(), CHAT)
    assert audit.verified
    mine = [(entry.record.actor, entry.record.action) for entry in audit.entries if entry.record.target == "3"]
    assert {(ANNA, "begin-deletion"), (ANNA, "recheck-promotions"), (ANNA, "delete")} <= set(mine)


@pytest.mark.parametrize("refused", [False, True])
def test_a_version_that_an_alias_names_keeps_its_state(office: Office, *, refused: bool) -> None:
    if refused:
        office.approve(ANNA, version=2)
        office.decide(BERT, Action.REVOKE, 2)
    before = state_of(office, 2)
    with pytest.raises(RejectedError, match="acme/chat@production names version 2") as caught:
        delete_version(office.session(), CHAT, 2)
    assert "production" in caught.value.advice
    assert state_of(office, 2) is before
    assert resolve(office.session(), parse_reference("acme/chat@production")).version == 2


def test_every_other_alias_is_touched_so_that_a_promoter_loses(office: Office) -> None:
    promote(office.session(), CHAT, 1, STAGING)
    office.bucket.before["put", keys.alias(CHAT, STAGING)] = lambda: delete_version(office.session(), CHAT, 3)
    with pytest.raises((RejectedError, NotFoundError)):
        promote(office.session(), CHAT, 3, STAGING)
    assert state_of(office, 3) is State.DELETED


def test_after_the_alias_moved_or_was_unset_the_version_can_go(office: Office) -> None:
    promote(office.session(), CHAT, 1, PRODUCTION)
    unset(office.session(), CHAT, PRODUCTION)
    delete_version(office.session(), CHAT, 1)
    promote(office.session(), CHAT, 3, PRODUCTION)
    delete_version(office.session(), CHAT, 2)
    with pytest.raises(RejectedError, match="no earlier version"):
        roll_back(office.session(), CHAT, PRODUCTION)


def test_a_retired_and_a_rejected_version_can_go(office: Office) -> None:
    retire(office.session(), CHAT, 1)
    office.decide(ANNA, Action.REJECT, 3)
    for version in (1, 3):
        delete_version(office.session(), CHAT, version)
        assert state_of(office, version) is State.DELETED


def test_a_deletion_that_was_interrupted_is_resumed_under_its_generation(office: Office) -> None:
    office.bucket.broken.add(keys.alias(CHAT, PRODUCTION))
    with pytest.raises(UnavailableError):
        delete_version(office.session(), CHAT, 3)
    assert state_of(office, 3) is State.DELETING
    office.bucket.broken.clear()
    with pytest.raises(RejectedError, match="version 3 is deleting"):
        promote(office.session(), CHAT, 3, STAGING)
    for action in (Action.APPROVE, Action.REJECT, Action.COMMENT):
        with pytest.raises(RejectedError, match="version 3 is deleting"):
            office.prepare(ANNA, action, 3)
    delete_version(office.session(), CHAT, 3)
    assert state_of(office, 3) is State.DELETED
    begun = [e for e in load_audit(office.session(), CHAT).entries if e.record.action == "begin-deletion"]
    assert len(begun) == 1


def test_a_base_is_kept_while_a_live_version_is_made_from_it(office: Office) -> None:
    child = ModelName("acme", "child")
    version = office.publish(child, parent=base_parent(1))
    with pytest.raises(RejectedError, match="acme/base:1 is the base of versions of acme/child"):
        delete_version(office.session(), BASE, 1)
    assert state_of(office, 1, BASE) is State.REGISTERED
    delete_version(office.session(), child, version)
    delete_version(office.session(), BASE, 1)
    assert state_of(office, 1, BASE) is State.DELETED
    with pytest.raises(RejectedError, match="base acme/base:1 is deleted"):
        office.publish(child, notes="again", parent=base_parent(1))


def test_a_base_in_the_same_model_is_kept_too(office: Office) -> None:
    manifest = resolve(office.session(), parse_reference("acme/chat:1")).digest
    child = office.publish(parent=replace(base_parent(1), model=CHAT, manifest=manifest))
    with pytest.raises(RejectedError, match="acme/chat:1 is the base of versions of acme/chat"):
        delete_version(office.session(), CHAT, 1)
    delete_version(office.session(), CHAT, child)
    delete_version(office.session(), CHAT, 1)


def test_nothing_is_deleted_read_only(office: Office) -> None:
    with pytest.raises(RejectedError, match="read-only"):
        delete_version(replace(office.session(), read_only=True), CHAT, 3)
    assert state_of(office, 3) is State.REGISTERED
