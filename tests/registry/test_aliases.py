from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import ContendedError, CorruptError, NotFoundError, RejectedError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_alias, load_alias
from bucketry.registry.core.resolve import resolve, resolve_at
from bucketry.registry.review.policies import set_policy
from bucketry.registry.serving.alias_history import find_target_at, load_alias_history
from bucketry.registry.serving.aliases import load_rollback_target, promote, roll_back, undo_move, unset
from bucketry.registry.versions.lifecycle import retire
from bucketry.schema import keys
from bucketry.schema.documents.alias import encode_alias
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.names import AliasName, ModelName, parse_reference
from bucketry.store.contract import IfMatch
from simulation.actors import CHAT
from simulation.scenes import SEALED, Beginning, begin, founder
from simulation.world import SeededScript, World

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister

STAGING = AliasName("staging")
PRODUCTION = AliasName("production")


@pytest.fixture
def session() -> Session:
    world = World(SeededScript(0))
    begin(world, Beginning(versions=5))
    return founder(world.bucket)


def targets(session: Session, alias: AliasName = STAGING) -> list[tuple[str, int | None, int | None]]:
    history = load_alias_history(session, CHAT, alias)
    return [(event.action, event.previous, event.target) for event in reversed(history)]


def test_promoting_says_what_the_alias_named_before(session: Session) -> None:
    assert promote(session, CHAT, 2, STAGING).previous is None
    move = promote(session, CHAT, 3, STAGING)
    assert (move.previous, move.target, move.generation) == (2, 3, 2)


def test_promoting_what_is_there_already_changes_nothing(session: Session) -> None:
    promote(session, CHAT, 2, STAGING)
    move = promote(session, CHAT, 2, STAGING)
    assert (move.previous, move.target, move.generation) == (2, 2, 1)


def test_promoting_a_retired_version_is_rejected(session: Session) -> None:
    retire(session, CHAT, 2)
    with pytest.raises(RejectedError, match="retired"):
        promote(session, CHAT, 2, STAGING)
    assert load_alias(session, CHAT, STAGING).state is None


@pytest.mark.parametrize("version", [0, 6, 10**15])
def test_promoting_a_version_that_does_not_exist_is_not_found(session: Session, version: int) -> None:
    with pytest.raises(NotFoundError):
        promote(session, CHAT, version, STAGING)


def test_promoting_in_a_model_that_does_not_exist_is_not_found(session: Session) -> None:
    with pytest.raises(NotFoundError, match="no model"):
        promote(session, ModelName("acme", "nothing"), 1, STAGING)


def test_rolling_back_twice_goes_two_steps_back(session: Session) -> None:
    for version in (1, 2, 3):
        promote(session, CHAT, version, STAGING)
    assert roll_back(session, CHAT, STAGING).target == 2
    assert roll_back(session, CHAT, STAGING).target == 1
    with pytest.raises(RejectedError, match="no earlier version"):
        roll_back(session, CHAT, STAGING)


def test_rolling_back_skips_what_may_no_longer_be_served(session: Session) -> None:
    for version in (1, 2, 3):
        promote(session, CHAT, version, STAGING)
    retire(session, CHAT, 2)
    assert roll_back(session, CHAT, STAGING).target == 1


def test_rolling_back_to_a_version(session: Session) -> None:
    promote(session, CHAT, 1, STAGING)
    assert roll_back(session, CHAT, STAGING, to=4).target == 4


def test_rolling_back_after_unset_names_the_last_target_again(session: Session) -> None:
    promote(session, CHAT, 1, STAGING)
    promote(session, CHAT, 2, STAGING)
    unset(session, CHAT, STAGING)
    move = roll_back(session, CHAT, STAGING)
    assert (move.previous, move.target) == (None, 2)


def test_rolling_back_over_sealed_records() -> None:
    world = World(SeededScript(0))
    begin(world, SEALED)
    session = founder(world.bucket)
    promote(session, CHAT, 5, PRODUCTION)
    assert roll_back(session, CHAT, PRODUCTION).target in {1, 2}


def test_damaged_history_keeps_nobody_from_naming_the_version_to_go_back_to(session: Session) -> None:
    for round_number in range(70):
        promote(session, CHAT, 1 + round_number % 2, STAGING)
    session.store.delete(keys.alias_history(CHAT, STAGING, 1))
    with pytest.raises(CorruptError, match="where to go back to") as told:
        roll_back(session, CHAT, STAGING)
    assert "--to VERSION" in told.value.advice
    assert roll_back(session, CHAT, STAGING, to=3).target == 3
    demanding = f'protected_aliases = ["{STAGING}"]\n[[gate]]\nmetric = "auc"\nat_least = 0.9'
    set_policy(session, CHAT, parse_policy_toml(demanding, what="p"))
    with pytest.raises(RejectedError, match="gate"):
        roll_back(session, CHAT, STAGING, to=4)
    assert roll_back(session, CHAT, STAGING, to=2).target == 2  # it is known that the alias named this one


@pytest.mark.parametrize("act", [unset, roll_back])
def test_an_alias_that_was_never_set_is_not_found(session: Session, act: object) -> None:
    assert callable(act)
    with pytest.raises(NotFoundError, match="not set"):
        act(session, CHAT, STAGING)


def test_unset_leaves_a_tombstone_with_its_history(session: Session) -> None:
    promote(session, CHAT, 1, STAGING)
    assert unset(session, CHAT, STAGING, reason="over").target is None
    with pytest.raises(NotFoundError, match="not set"):
        resolve(session, parse_reference("acme/chat@staging"))
    assert targets(session) == [("promote", None, 1), ("unset", 1, None)]


def test_history_gives_reasons_short_and_long(session: Session) -> None:
    promote(session, CHAT, 1, STAGING, reason="short")
    promote(session, CHAT, 2, STAGING, reason="long " * 100)
    assert [event.reason for event in load_alias_history(session, CHAT, STAGING)] == ["long " * 100, "short"]


def test_what_an_alias_named_at_a_moment(session: Session) -> None:
    at = session.clock.timestamp()
    promote(session, CHAT, 1, STAGING)
    event = find_target_at(session, CHAT, STAGING, at)
    assert event is not None
    assert event.target == 1
    assert find_target_at(session, CHAT, STAGING, "2020-01-01T00:00:00.000Z") is None
    reference = parse_reference("acme/chat@staging")
    assert resolve_at(session, reference, at).version == 1
    with pytest.raises(NotFoundError):
        resolve_at(session, reference, "2020-01-01T00:00:00.000Z")


def test_a_resolved_alias_carries_its_generation_and_the_version(session: Session) -> None:
    promote(session, CHAT, 2, STAGING)
    resolved = resolve(session, parse_reference("acme/chat@staging"))
    assert (resolved.version, resolved.alias, resolved.generation) == (2, STAGING, 1)


def test_a_model_has_at_most_64_aliases(session: Session) -> None:
    for number in range(64):
        promote(session, CHAT, 1, AliasName(f"a{number}"))
    with pytest.raises(RejectedError, match="64 aliases"):
        promote(session, CHAT, 1, AliasName("one-more"))


def test_undoing_a_rollback_restores_what_the_next_rollback_goes_back_to(session: Session) -> None:
    for version in (1, 2, 3, 4):
        promote(session, CHAT, version, STAGING)
    assert roll_back(session, CHAT, STAGING).target == 3
    move = undo_move(session, CHAT, STAGING, reason="a slip")
    assert (move.previous, move.target) == (3, 4)
    assert load_rollback_target(session, CHAT, STAGING).version == 3
    assert roll_back(session, CHAT, STAGING).target == 3
    newest = load_alias_history(session, CHAT, STAGING)[1]
    assert (newest.action, newest.undoes, newest.reason) == ("undo", 5, "a slip")


def test_undoing_an_unset_and_the_promotions_below_it(session: Session) -> None:
    for version in (1, 2):
        promote(session, CHAT, version, STAGING)
    unset(session, CHAT, STAGING)
    assert undo_move(session, CHAT, STAGING).target == 2
    assert load_rollback_target(session, CHAT, STAGING).version == 1
    assert undo_move(session, CHAT, STAGING).target == 1
    assert undo_move(session, CHAT, STAGING).target is None
    with pytest.raises(RejectedError, match="no move of acme/chat@staging to take back"):
        undo_move(session, CHAT, STAGING)
    with pytest.raises(NotFoundError, match="not set"):
        resolve(session, parse_reference("acme/chat@staging"))


def test_a_move_that_others_moved_on_from_is_not_undone(session: Session) -> None:
    mine = promote(session, CHAT, 1, STAGING)
    promote(replace(session, actor="other@example.org"), CHAT, 2, STAGING)
    with pytest.raises(ContendedError, match=r"moved since: promote by other@example\.org"):
        undo_move(session, CHAT, STAGING, generation=mine.generation)
    assert resolve(session, parse_reference("acme/chat@staging")).version == 2


def test_an_undo_to_what_may_no_longer_be_served_is_rejected(session: Session) -> None:
    promote(session, CHAT, 1, STAGING)
    promote(session, CHAT, 2, STAGING)
    retire(session, CHAT, 1)
    with pytest.raises(RejectedError, match="version 1 is retired"):
        undo_move(session, CHAT, STAGING)


def test_an_undo_works_over_sealed_records(session: Session) -> None:
    promote(session, CHAT, 1, STAGING)
    promote(session, CHAT, 2, STAGING)
    _touch(session, 70)
    assert roll_back(session, CHAT, STAGING).target == 1
    _touch(session, 70)
    assert undo_move(session, CHAT, STAGING).target == 2
    assert load_rollback_target(session, CHAT, STAGING).version == 1


def test_since_and_by_are_of_the_last_move_behind_any_number_of_touches(session: Session) -> None:
    promote(replace(session, actor="mover@example.org"), CHAT, 2, STAGING)
    for touches in (1, 70):
        _touch(session, touches)
        register = load_alias(session, CHAT, STAGING).state
        assert register is not None
        moved = register.last_move
        assert moved is not None
        assert (moved.generation, moved.by, moved.action, moved.previous) == (1, "mover@example.org", "promote", None)
        assert (register.trail.records[0].action == "promote") is (touches == 1)  # then the promotion is sealed
    assert check_registry(session).damage == ()


def test_a_register_that_says_another_last_move_than_its_records_is_damaged(session: Session) -> None:
    promote(session, CHAT, 2, STAGING)
    _touch(session, 70)
    found = load_alias(session, CHAT, STAGING)
    assert found.state is not None
    assert found.state.moved is not None
    assert found.etag is not None
    for forged in (replace(found.state.moved, by="somebody@example.org"), None):
        body = encode_alias(replace(found.state, moved=forged))
        etag = session.store.put(keys.alias(CHAT, STAGING), body, IfMatch(found.etag))
        found = replace(found, etag=etag)
        assert any("moved last" in finding.message for finding in check_registry(session).damage)


def _touch(session: Session, times: int) -> None:
    def edit(register: AliasRegister | None) -> Change[AliasRegister]:
        assert register is not None
        return Change(register, AuditAction.RECHECK_PROMOTIONS, target="5")

    for _ in range(times):
        commit_alias(replace(session, actor="toucher@example.org"), CHAT, STAGING, edit)
