"""One scenario for each sentence of the format's section on commits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import (
    CommitUnknownError,
    ContendedError,
    CorruptError,
    DeniedError,
    UnavailableError,
    UnsupportedError,
)
from bucketry.registry.core.commit import Change, commit
from bucketry.registry.core.immutable import Immutable
from bucketry.registry.core.registers import alias_register, commit_alias, load_alias, load_head
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.schema import keys
from bucketry.schema.codec import digest_of, encode
from bucketry.schema.documents.audit import AuditAction
from bucketry.store.contract import (
    ETag,
    IfAbsent,
    IfMatch,
    PreconditionFailedError,
    SlowDownError,
    Unconditional,
)
from simulation.actors import CHAT, CONTENTS, PRODUCTION, Uploader, make_manifest
from simulation.planned import Planned, VirtualClock
from simulation.scenes import FEW, begin, founder
from simulation.world import SeededScript, World

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.store.contract import Condition

ALIAS = keys.alias(CHAT, PRODUCTION)


@pytest.fixture
def bucket() -> Planned:
    planned = Planned()
    world = World(SeededScript(0))
    begin(world, FEW)
    planned.restore(world.bucket.snapshot())
    return planned


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def session(bucket: Planned, clock: VirtualClock) -> Session:
    plain = founder(bucket)
    virtual = replace(plain.clock, monotonic_seconds=lambda: clock.seconds, sleep=clock.sleep, chance=lambda: 0.999)
    return replace(plain, clock=virtual)


def touch(session: Session, text: str = "touched") -> AliasRegister:
    return commit_alias(
        session, CHAT, PRODUCTION, lambda old: Change(_there(old), AuditAction.RECHECK_PROMOTIONS, target=text)
    ).state


def other_commits(bucket: Planned, count: int = 1) -> None:
    """Let another program commit to the alias's register, whatever is planned for ours."""
    plans, bucket.plans = bucket.plans, []
    get_plans, bucket.get_plans = bucket.get_plans, []
    for number in range(count):
        touch(founder(bucket), f"other {number}")
    bucket.plans, bucket.get_plans = plans, get_plans


def chain(session: Session) -> list[str]:
    state = load_alias(session, CHAT, PRODUCTION).state
    assert state is not None
    return [record.target for record in state.trail.records if record.action == AuditAction.RECHECK_PROMOTIONS]


# The format: "1. Write everything immutable. 2. Compare-and-swap the register. Nothing else is a commit."


def test_everything_immutable_is_written_before_the_register(session: Session, bucket: Planned) -> None:
    publish(session)
    written = [key.partition("/")[0] for key, _, _ in bucket.puts]
    assert written == ["manifests", "heads"]
    bucket.puts.clear()
    for number in range(70):
        touch(session, str(number))
    order = [key.partition("/")[0] for key, _, _ in bucket.puts]
    assert order[order.index("history") + 1] == "aliases"
    assert order.count("history") == 1


def test_what_is_written_before_a_failed_commit_is_no_commit(session: Session, bucket: Planned) -> None:
    bucket.plans = [_denied]
    with pytest.raises(DeniedError):
        publish(session)
    head = load_head(session, CHAT).state
    assert head is not None
    assert head.next_version == 4


# The format: "A conditional write is sent once per attempt, and its outcome is decided by reading back."


def test_a_2xx_is_committed_without_reading_back(session: Session, bucket: Planned) -> None:
    bucket.get_plans = [_nothing, _fail_get]  # the read of the base, and any read after it
    assert touch(session).trail.records[-1].target == "touched"


@pytest.mark.parametrize("doubt", ["412", "500", "503"])
def test_a_lost_reply_is_committed_if_the_register_then_holds_ours(
    session: Session, bucket: Planned, doubt: str
) -> None:
    bucket.plans = [lambda *request: _applied_but(bucket, request, doubt)]
    touch(session)
    assert chain(session) == ["touched"]
    assert len(bucket.puts) == 1


@pytest.mark.parametrize("doubt", ["412", "500", "503"])
def test_a_lost_reply_is_committed_if_ours_is_among_the_recent_records(
    session: Session, bucket: Planned, doubt: str
) -> None:
    def plan(*request: object) -> ETag:
        bucket.really(*request)  # type: ignore[arg-type]
        other_commits(bucket, 3)
        raise _doubt(doubt)

    bucket.plans = [plan]
    touch(session)
    assert chain(session) == ["touched", "other 0", "other 1", "other 2"]


@pytest.mark.parametrize("doubt", ["412", "500", "503"])
def test_an_undecided_write_is_sent_again_with_the_same_bytes_and_the_same_condition(
    session: Session, bucket: Planned, doubt: str
) -> None:
    bucket.plans = [lambda *_: _raise(doubt)] * 3
    touch(session)
    assert len(bucket.puts) == 4
    assert len({(body, repr(condition)) for _, body, condition in bucket.puts}) == 1
    assert chain(session) == ["touched"]


def test_a_write_that_lost_is_edited_again_on_the_new_state_under_the_same_transaction(
    session: Session, bucket: Planned
) -> None:
    def plan(*request: object) -> ETag:
        other_commits(bucket)
        return bucket.really(*request)  # type: ignore[arg-type]

    bucket.plans = [plan]
    seen = []

    def edit(old: AliasRegister | None) -> Change[AliasRegister]:
        seen.append(_there(old).generation)
        return Change(_there(old), AuditAction.RECHECK_PROMOTIONS, target="touched")

    committed = commit_alias(session, CHAT, PRODUCTION, edit)
    assert seen == [2, 3]
    assert committed.attempts == 2
    ours = [body for _, body, _ in bucket.puts if committed.record.transaction.encode() in body]
    assert len(ours) == 2
    assert chain(session) == ["other 0", "touched"]


def test_a_deadline_that_passes_while_undecided_is_an_unknown_commit_that_names_the_transaction(
    session: Session, bucket: Planned, clock: VirtualClock
) -> None:
    bucket.plans = [lambda *_: _raise("500")] * 10_000
    with pytest.raises(CommitUnknownError) as caught:
        touch(session)
    assert caught.value.transaction in str(caught.value)
    assert clock.seconds >= 60
    bucket.plans = []
    late = next(request for request in bucket.puts if request[0] == ALIAS)
    bucket.really(*late)  # it may still arrive, and then it is a commit like any other
    assert chain(session) == ["touched"]


# The format: "'Not ours' may be concluded only when every record from the base's generation on was seen."


def test_a_sealed_block_is_read_before_a_commit_counts_as_lost(session: Session, bucket: Planned) -> None:
    def plan(*request: object) -> ETag:
        bucket.really(*request)  # type: ignore[arg-type]
        other_commits(bucket, 100)
        raise _doubt("500")

    bucket.plans = [plan]
    touch(session)
    assert len([body for key, body, _ in bucket.puts if b'"touched"' in body and key == ALIAS]) >= 1
    state = load_alias(session, CHAT, PRODUCTION).state
    assert state is not None
    assert state.generation == 2 + 1 + 100


def test_a_missing_sealed_block_makes_the_commit_unknown(session: Session, bucket: Planned) -> None:
    def plan(*request: object) -> ETag:
        bucket.really(*request)  # type: ignore[arg-type]
        other_commits(bucket, 100)
        bucket.delete(keys.alias_history(CHAT, PRODUCTION, 1))
        raise _doubt("500")

    bucket.plans = [plan]
    with pytest.raises(CommitUnknownError):
        touch(session)


# The format: "One transaction id belongs to one register commit, never to a longer operation."


def test_each_register_commit_has_its_own_transaction_id(session: Session) -> None:
    publish(session)
    touch(session)
    head, alias = load_head(session, CHAT).state, load_alias(session, CHAT, PRODUCTION).state
    assert head is not None
    assert alias is not None
    transactions = [record.transaction for state in (head, alias) for record in state.trail.records]
    assert len(set(transactions)) == len(transactions)


# The format: "An edit ... is run again, all of it, on every conflict: ... every precondition ... [is] decided
# on the state that is actually replaced."


def test_a_versions_number_is_decided_on_the_state_that_is_replaced(session: Session, bucket: Planned) -> None:
    def plan(*request: object) -> ETag:
        plans, bucket.plans = bucket.plans, []
        publish(founder(bucket), "the other's")
        bucket.plans = plans
        return bucket.really(*request)  # type: ignore[arg-type]

    bucket.plans = [plan]
    assert publish(session) == 5


def test_an_edit_that_raises_on_the_new_state_ends_the_commit_with_nothing_changed(
    session: Session, bucket: Planned
) -> None:
    def plan(*request: object) -> ETag:
        other_commits(bucket)
        return bucket.really(*request)  # type: ignore[arg-type]

    def edit(old: AliasRegister | None) -> Change[AliasRegister]:
        if _there(old).generation > 2:
            raise CorruptError("no")
        return Change(_there(old), AuditAction.RECHECK_PROMOTIONS, target="touched")

    bucket.plans = [plan]
    with pytest.raises(CorruptError):
        commit_alias(session, CHAT, PRODUCTION, edit)
    assert chain(session) == ["other 0"]


# The format: "Where the store is in trouble, random(0, min(5 s, 50 ms * 2^n)) ... bounded by a deadline."


def test_backoff_doubles_up_to_five_seconds(session: Session, bucket: Planned, clock: VirtualClock) -> None:
    bucket.plans = [lambda *_: _raise("500")] * 9
    touch(session)
    bounds = [min(5.0, 0.05 * 2**attempt) * 0.999 for attempt in range(9)]
    assert clock.slept == pytest.approx(bounds)


def test_losing_until_the_deadline_is_contention(session: Session, bucket: Planned, clock: VirtualClock) -> None:
    def plan(*request: object) -> ETag:
        other_commits(bucket)
        clock.seconds += 0.05
        return bucket.really(*request)  # type: ignore[arg-type]

    bucket.plans = [plan] * 10_000
    with pytest.raises(ContendedError) as caught:
        touch(session)
    assert not isinstance(caught.value, PreconditionFailedError)


# The format: "429 and 503 slow down; 501 means that the store cannot do it: stop, and say so."


def test_a_store_that_asks_for_fewer_requests_is_left_alone_as_long_as_it_says(
    session: Session, bucket: Planned, clock: VirtualClock
) -> None:
    def plan(*_: object) -> ETag:
        raise SlowDownError("simulated: 503", retry_after_seconds=7.0)

    bucket.plans = [plan]
    touch(session)
    assert clock.slept == [pytest.approx(7.0 + 0.999 * 0.05)]


def test_a_store_that_cannot_do_it_is_not_asked_again(session: Session, bucket: Planned) -> None:
    def plan(*_: object) -> ETag:
        raise UnsupportedError("simulated: 501")

    bucket.plans = [plan]
    with pytest.raises(UnsupportedError):
        touch(session)
    assert len(bucket.puts) == 1


# The format: "create-only: If-None-Match: *. A refusal with the same bytes already there is success."


def test_an_immutable_object_that_is_there_already_is_success(session: Session, bucket: Planned) -> None:
    item = _note()
    bucket.really(item.key, item.body, IfAbsent())
    change = lambda old: Change(_there(old), AuditAction.RECHECK_PROMOTIONS, objects=(item,))  # noqa: E731
    assert commit_alias(session, CHAT, PRODUCTION, change).attempts == 1


def test_an_immutable_object_with_other_bytes_is_damage(session: Session, bucket: Planned) -> None:
    item = _note()
    bucket.really(item.key, b"[]", IfAbsent())
    with pytest.raises(CorruptError):
        commit_alias(
            session, CHAT, PRODUCTION, lambda old: Change(_there(old), AuditAction.RECHECK_PROMOTIONS, objects=(item,))
        )
    assert chain(session) == []


# The format: "register: If-Match: <etag> (or If-None-Match: * for the first write) ... No write is unconditional."


def test_no_write_is_unconditional(session: Session, bucket: Planned) -> None:
    publish(session)
    touch(session)
    conditions = {key.partition("/")[0]: type(condition) for key, _, condition in bucket.puts}
    assert conditions == {"manifests": IfAbsent, "heads": IfMatch, "aliases": IfMatch}
    assert Unconditional not in conditions.values()


def test_a_register_that_vanishes_while_it_is_changed_is_damage(session: Session, bucket: Planned) -> None:
    def plan(key: str, *_: object) -> ETag:
        bucket.delete(key)
        raise _doubt("412")

    bucket.plans = [plan]
    with pytest.raises(CorruptError, match="deleted"):
        touch(session)


def test_a_commit_needs_no_session_but_a_register(bucket: Planned) -> None:
    register = alias_register(founder(bucket), CHAT, PRODUCTION)
    clock = founder(bucket).clock
    done = commit(
        bucket,
        register,
        lambda old: Change(_there(old), AuditAction.RECHECK_PROMOTIONS),
        actor="a@example.org",
        clock=clock,
    )
    assert done.record.generation == 3


def publish(session: Session, notes: str = "published") -> int:
    manifest = make_manifest(CHAT, [CONTENTS[2]], notes=notes)
    return register_version(session, PreparedVersion(manifest), Uploader(session, CHAT)).version


def _there(old: AliasRegister | None) -> AliasRegister:
    assert old is not None
    return old


def _doubt(kind: str) -> Exception:
    if kind == "412":
        return PreconditionFailedError("simulated: 412")
    return SlowDownError("simulated: 503") if kind == "503" else UnavailableError("simulated: 500")


def _raise(kind: str) -> ETag:
    raise _doubt(kind)


def _applied_but(bucket: Planned, request: tuple[str, bytes, Condition], kind: str) -> ETag:
    bucket.really(*request)
    raise _doubt(kind)


def _denied(*_: object) -> ETag:
    raise DeniedError("simulated: 403")


def _nothing(_: str) -> None:
    return None


def _fail_get(key: str) -> None:
    raise AssertionError(f"{key} was read back")


def _note() -> Immutable:
    body = encode({"format": 1, "text": "a note"})
    return Immutable(keys.page(CHAT, digest_of(body)), body)
