"""Is everything that happened to a version found, and nothing of the others?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from bucketry.errors import NotFoundError
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.serving.aliases import promote, roll_back, unset
from bucketry.registry.versions import history as version_history
from bucketry.registry.versions.history import VersionHistory, load_version_history
from bucketry.registry.versions.lifecycle import edit_model, edit_version
from bucketry.schema import keys
from bucketry.schema.documents.reviews import Action
from bucketry.schema.names import AliasName
from registry.people import ANNA, CHAT, PRODUCTION, TRAINER, Office, open_office
from simulation.actors import CONTENTS, Uploader, make_manifest

STAGING = AliasName("staging")


@pytest.fixture
def office() -> Office:
    return open_office()


def history(office: Office, version: int) -> VersionHistory:
    return load_version_history(office.session(), CHAT, version)


def told(office: Office, version: int) -> list[tuple[str, str | None, int | None, str]]:
    return [(event.action, event.alias, event.previous, event.target) for event in history(office, version).events]


def test_the_newest_is_first_and_the_publish_is_last(office: Office) -> None:
    first = office.publish()
    second = office.publish(notes="other")
    edit_version(office.session(), CHAT, first, notes="better")
    office.decide(ANNA, Action.REQUEST, first)
    edit_model(office.session(), CHAT, description="of the model")
    assert told(office, first) == [
        ("request-review", None, None, str(first)),
        ("edit", None, None, str(first)),
        ("publish", None, None, str(first)),
    ]
    assert [event.action for event in history(office, second).events] == ["publish"]
    assert history(office, first).is_whole


def test_an_alias_that_came_and_one_that_left_are_both_told(office: Office) -> None:
    first, second = office.publish(), office.publish(notes="other")
    session = office.session(ANNA)
    promote(session, CHAT, first, STAGING, reason="try it")
    promote(session, CHAT, second, STAGING, reason="r" * 500)
    roll_back(session, CHAT, STAGING)
    unset(session, CHAT, STAGING)
    moves = [each for each in told(office, first) if each[1] == STAGING]
    assert moves == [
        ("unset", STAGING, first, ""),
        ("rollback", STAGING, second, str(first)),
        ("promote", STAGING, first, str(second)),
        ("promote", STAGING, None, str(first)),
    ]
    reasons = {event.target: event.reason for event in history(office, first).events if event.action == "promote"}
    assert reasons == {str(first): "try it", str(second): "r" * 500}
    assert {event.actor for event in history(office, first).events} == {TRAINER, ANNA}


def test_sealed_records_are_read_as_far_back_as_the_publish(office: Office) -> None:
    version = office.publish()
    for number in range(80):
        edit_model(office.session(), CHAT, description=f"number {number}")
    promote(office.session(), CHAT, version, PRODUCTION)
    found = history(office, version)
    assert [event.action for event in found.events if event.alias is None] == ["publish"]
    assert found.is_whole


def test_a_trail_too_long_to_be_followed_is_said_to_be(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_history, "MOST_RECORDS", 5)
    version = office.publish()
    for number in range(4):
        edit_model(office.session(), CHAT, description=f"number {number}")
    assert history(office, version).is_whole
    edit_model(office.session(), CHAT, description="one too many")
    found = history(office, version)
    assert (found.events, found.is_whole) == ((), False)


def test_what_an_alias_did_long_before_the_version_is_not_read(office: Office) -> None:
    early = office.publish()
    for _ in range(40):
        promote(office.session(), CHAT, early, STAGING)
        unset(office.session(), CHAT, STAGING)
    office.days += 3
    session = office.session()
    made = replace(make_manifest(CHAT, [CONTENTS[1]], notes="late"), created_at=session.clock.timestamp())
    late = register_version(session, PreparedVersion(made), Uploader(session, CHAT)).version
    for key in [entry.key for entry in office.bucket.list(keys.histories(CHAT)) if "staging" in entry.key]:  # type: ignore[union-attr]
        office.bucket.delete(key)
    promote(office.session(), CHAT, late, STAGING)
    assert [event.action for event in history(office, late).events] == ["promote", "publish"]
    assert not history(office, late).damaged
    assert any("missing" in why for why in history(office, early).damaged)


def test_a_version_that_is_not_there_is_not_found(office: Office) -> None:
    with pytest.raises(NotFoundError):
        history(office, 99)
