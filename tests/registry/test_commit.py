"""The verdict table of a commit, on a register that is there and on one that is written for the first time."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import (
    BucketryError,
    CommitUnknownError,
    DeniedError,
    RejectedError,
    UnavailableError,
    UnsupportedError,
)
from bucketry.registry.core.commit import Change, commit
from bucketry.registry.core.history import load_records
from bucketry.registry.core.immutable import Immutable, put_immutable
from bucketry.registry.core.registers import alias_register, load_alias
from bucketry.registry.core.session import Session
from bucketry.schema import keys
from bucketry.schema.documents.alias import AliasRegister
from bucketry.schema.documents.audit import AuditAction, decode_block, find_chain_fault
from bucketry.schema.names import AliasName, ModelName
from bucketry.store.contract import IfAbsent, PreconditionFailedError, SlowDownError, StoreFullError
from bucketry.store.folder.store import FolderStore
from simulation.planned import Planned, VirtualClock
from simulation.scenes import REGISTRY, founder, new_registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bucketry.registry.core.commit import Committed
    from bucketry.store.contract import Condition, ETag

MODEL = ModelName("default", "m")
ALIAS = AliasName("a")
KEY = keys.alias(MODEL, ALIAS)
DOUBTS: list[Exception] = [
    PreconditionFailedError("412"),
    UnavailableError("500"),
    SlowDownError("503"),
]


@pytest.fixture
def bucket() -> Planned:
    return Planned()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def session(bucket: Planned, clock: VirtualClock) -> Session:
    plain = new_registry(bucket)
    bucket.puts.clear()
    return replace(
        plain,
        clock=replace(plain.clock, monotonic_seconds=lambda: clock.seconds, sleep=clock.sleep, chance=lambda: 0.5),
    )


@pytest.fixture(params=["first write", "later write"])
def commits_before(request: pytest.FixtureRequest, session: Session) -> int:
    if request.param == "first write":
        return 0
    touch(session, "earlier")
    return 1


def touch(session: Session, text: str, *, deadline_seconds: float = 60.0) -> Committed[AliasRegister]:
    return commit(
        session.store,
        alias_register(session, MODEL, ALIAS),
        lambda old: Change(old or AliasRegister(REGISTRY, MODEL, ALIAS), AuditAction.RECHECK_PROMOTIONS, target=text),
        actor=session.actor,
        clock=session.clock,
        deadline_seconds=deadline_seconds,
    )


def item_for_any_key() -> Immutable:
    """Return an object whose writes are planned, as a register's are."""
    other = Planned()
    touch(founder(other), "x")
    return Immutable(KEY, other.get(KEY).body)


def chain(session: Session) -> list[str]:
    state = load_alias(session, MODEL, ALIAS).state
    if state is None:
        return []
    records = load_records(session, alias_register(session, MODEL, ALIAS), state.trail)
    assert find_chain_fault(records) == ""
    return [record.target for record in records]


def plan(bucket: Planned, *, applied: bool, others: int, reply: Exception | None) -> None:
    """Plan the fate of the next write: whether it is applied, how many others commit after it, and its reply."""

    def fate(key: str, body: bytes, condition: Condition) -> ETag:
        if applied:
            bucket.really(key, body, condition)
        rest, bucket.plans = bucket.plans, []
        for number in range(others):
            touch(founder(bucket), f"other {number}")
        bucket.plans = rest
        if reply is not None:
            raise reply
        return bucket.get(key).etag

    bucket.plans.append(fate)


@pytest.mark.parametrize("doubt", DOUBTS, ids=str)
@pytest.mark.parametrize("others", [0, 1, 40, 64, 130])
def test_applied_with_the_reply_lost_is_committed_once(
    session: Session, bucket: Planned, commits_before: int, doubt: Exception, others: int
) -> None:
    plan(bucket, applied=True, others=others, reply=doubt)
    done = touch(session, "ours")
    assert done.record.generation == commits_before + 1
    assert chain(session).count("ours") == 1
    assert len(chain(session)) == commits_before + 1 + others


@pytest.mark.parametrize("doubt", DOUBTS, ids=str)
@pytest.mark.parametrize("others", [1, 40, 64, 130])
def test_not_applied_and_moved_is_lost_and_done_again(
    session: Session, bucket: Planned, commits_before: int, doubt: Exception, others: int
) -> None:
    plan(bucket, applied=False, others=others, reply=doubt)
    done = touch(session, "ours")
    assert done.attempts == 2
    assert done.record.generation == commits_before + others + 1
    assert chain(session).count("ours") == 1


@pytest.mark.parametrize("doubt", DOUBTS, ids=str)
@pytest.mark.parametrize("times", [1, 5])
def test_not_applied_and_unchanged_is_sent_again(
    session: Session, bucket: Planned, commits_before: int, doubt: Exception, times: int
) -> None:
    for _ in range(times):
        plan(bucket, applied=False, others=0, reply=doubt)
    bucket.puts.clear()
    assert touch(session, "ours").attempts == 1
    assert len({body for key, body, _ in bucket.puts if key == KEY}) == 1
    assert len(bucket.puts) == times + 1
    assert len(chain(session)) == commits_before + 1


@pytest.mark.parametrize("doubt", DOUBTS, ids=str)
def test_the_deadline_while_undecided_is_unknown(
    session: Session, bucket: Planned, commits_before: int, doubt: Exception
) -> None:
    for _ in range(2_000):
        plan(bucket, applied=False, others=0, reply=doubt)
    with pytest.raises(CommitUnknownError) as caught:
        touch(session, "ours", deadline_seconds=10.0)
    assert caught.value.__cause__ is doubt
    assert len(chain(session)) == commits_before


def test_reading_back_goes_on_while_the_store_does_not_answer(
    session: Session, bucket: Planned, commits_before: int
) -> None:
    plan(bucket, applied=True, others=0, reply=UnavailableError("500"))
    bucket.get_plans = [_answer, _unavailable, _unavailable, _unavailable]
    touch(session, "ours")
    assert len(chain(session)) == commits_before + 1


@pytest.mark.parametrize("failure", [DeniedError("403"), UnsupportedError("newer format")], ids=str)
def test_reading_back_that_is_refused_is_unknown(
    session: Session, bucket: Planned, failure: BucketryError, commits_before: int
) -> None:
    plan(bucket, applied=True, others=0, reply=UnavailableError("500"))
    bucket.get_plans = [_answer, _raising(failure)]
    with pytest.raises(CommitUnknownError) as caught:
        touch(session, "ours")
    assert caught.value.__cause__ is failure
    assert len(chain(session)) == commits_before + 1


@pytest.mark.parametrize(("attempt_seconds", "pace_seconds"), [(0.0, 0.001), (0.004, 0.004), (0.05, 0.05), (3.0, 0.05)])
def test_the_pause_after_a_lost_race_follows_what_an_attempt_takes(
    session: Session, bucket: Planned, clock: VirtualClock, attempt_seconds: float, pace_seconds: float
) -> None:
    def lose(*_: object) -> ETag:
        clock.seconds += attempt_seconds
        touch(founder(bucket), "other")
        raise PreconditionFailedError("412")

    touch(session, "first")
    bucket.plans = [_once(bucket, lose) for _ in range(6)]
    touch(session, "ours")
    assert clock.slept == pytest.approx([0.5 * pace_seconds * bound for bound in (2, 4, 8, 16, 16, 16)])


def test_a_lost_race_costs_one_read_and_one_write(session: Session, bucket: Planned) -> None:
    reads: list[str] = []

    def lose(*_: object) -> ETag:
        bucket.get_plans = []
        touch(founder(bucket), "other")
        bucket.get_plans = [reads.append] * 10
        raise PreconditionFailedError("412")

    bucket.plans = [_once(bucket, lose)]
    bucket.get_plans = [reads.append] * 10
    assert touch(session, "ours").attempts == 2
    assert len(reads) == 2


def test_a_folder_that_refuses_what_happened_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, others = (
        Session(FolderStore(tmp_path, durable=False), actor="a@example.com", takes_any_registry=True) for _ in range(2)
    )
    touch(ours, "first")
    touch(ours, "second")
    real, pending = os.link, ["others"]

    def link(source: str, target: str, **options: Any) -> None:
        real(source, target, **options)
        if target.endswith("/2") and pending:
            pending.clear()
            for number in range(40):
                touch(others, f"other {number}")

    monkeypatch.setattr(os, "link", link)
    done = touch(ours, "ours")
    assert (done.attempts, done.record.generation) == (1, 3)
    assert chain(ours) == ["first", "second", "ours", *(f"other {number}" for number in range(40))]


def test_a_refusal_of_the_first_request_is_just_that(session: Session, bucket: Planned) -> None:
    plan(bucket, applied=False, others=0, reply=DeniedError("403"))
    with pytest.raises(DeniedError):
        touch(session, "ours")


def test_a_full_store_refuses_at_once_with_nothing_done(
    session: Session, bucket: Planned, clock: VirtualClock, commits_before: int
) -> None:
    plan(bucket, applied=False, others=0, reply=StoreFullError("the disk is full"))
    with pytest.raises(StoreFullError):
        touch(session, "ours")
    assert clock.slept == []
    assert len(chain(session)) == commits_before


def test_a_store_that_is_full_after_a_doubtful_request_leaves_it_unknown(session: Session, bucket: Planned) -> None:
    plan(bucket, applied=False, others=0, reply=UnavailableError("500"))
    plan(bucket, applied=False, others=0, reply=StoreFullError("the disk is full"))
    with pytest.raises(CommitUnknownError) as caught:
        touch(session, "ours")
    assert isinstance(caught.value.__cause__, StoreFullError)


def test_a_refusal_after_a_doubtful_request_is_unknown(session: Session, bucket: Planned) -> None:
    plan(bucket, applied=False, others=0, reply=UnavailableError("500"))
    plan(bucket, applied=False, others=0, reply=DeniedError("403"))
    with pytest.raises(CommitUnknownError) as caught:
        touch(session, "ours")
    assert isinstance(caught.value.__cause__, DeniedError)


def test_the_read_of_the_base_may_fail_with_nothing_done(session: Session, bucket: Planned) -> None:
    bucket.get_plans = [_unavailable]
    with pytest.raises(UnavailableError) as caught:
        touch(session, "ours")
    assert not isinstance(caught.value, CommitUnknownError)
    assert bucket.puts == []


def test_each_commit_adds_one_record_and_the_register_holds_32_to_64(session: Session, bucket: Planned) -> None:
    for number in range(1, 131):
        touch(session, str(number))
        state = load_alias(session, MODEL, ALIAS).state
        assert state is not None
        assert state.generation == number
        assert min(number, 32) < len(state.trail.records) + 1 <= 65
    assert chain(session) == [str(number) for number in range(1, 131)]
    sealed = [entry.key for entry in bucket.list(keys.HISTORY)]  # type: ignore[union-attr]
    assert sorted(sealed) == sorted(keys.alias_history(MODEL, ALIAS, first) for first in (1, 33, 65))
    block = decode_block(bucket.get(keys.alias_history(MODEL, ALIAS, 33)).body, what="block")
    assert [record.target for record in block] == [str(number) for number in range(33, 65)]


def test_a_record_over_400_bytes_is_rejected_before_anything_is_written(session: Session, bucket: Planned) -> None:
    with pytest.raises(RejectedError, match="400"):
        touch(session, "x" * 300)
    assert bucket.puts == []


def test_an_immutable_object_is_written_whatever_replies_are_lost(session: Session, bucket: Planned) -> None:
    item = item_for_any_key()

    class Forgetful(Planned):
        failing = 3

        def put(self, key: str, body: bytes, condition: Condition) -> ETag:
            self.failing -= 1
            if self.failing == 1:
                super().put(key, body, condition)
            if self.failing >= 0:
                raise UnavailableError("500")
            return super().put(key, body, condition)

    store = Forgetful()
    put_immutable(store, item, clock=session.clock, deadline_seconds=60.0)
    assert store.get(item.key).body == item.body
    assert len(store.puts) == 1
    assert bucket.puts == []


def test_an_immutable_object_that_cannot_be_written_is_unavailable(session: Session, bucket: Planned) -> None:
    item = item_for_any_key()

    def refuse(*_: object) -> ETag:
        raise UnavailableError("500")

    bucket.plans = [refuse] * 1_000
    with pytest.raises(UnavailableError, match="could not be written"):
        put_immutable(bucket, item, clock=session.clock, deadline_seconds=5.0)
    assert len(bucket.puts) > 1
    assert all(condition == IfAbsent() for _, _, condition in bucket.puts)


def test_an_immutable_object_that_a_full_store_holds_already_is_written(
    session: Session, bucket: Planned, clock: VirtualClock
) -> None:
    item = item_for_any_key()

    def refuse(*_: object) -> ETag:
        raise StoreFullError("the disk is full")

    bucket.plans = [refuse] * 2
    with pytest.raises(StoreFullError):
        put_immutable(bucket, item, clock=session.clock, deadline_seconds=60.0)
    bucket.really(item.key, item.body, IfAbsent())
    put_immutable(bucket, item, clock=session.clock, deadline_seconds=60.0)
    assert (bucket.plans, clock.slept) == ([], [])


def _once(bucket: Planned, fate: Callable[..., ETag]) -> Callable[..., ETag]:
    """Let nothing be planned for what others write meanwhile."""

    def act(*request: object) -> ETag:
        rest, bucket.plans = bucket.plans, []
        try:
            return fate(*request)
        finally:
            bucket.plans = rest

    return act


def _answer(_: str) -> None:
    return None


def _unavailable(key: str) -> None:
    raise UnavailableError(f"no reply for {key}")


def _raising(error: Exception) -> Callable[[str], None]:
    def act(_: str) -> None:
        raise error

    return act
