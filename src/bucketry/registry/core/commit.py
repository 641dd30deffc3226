"""Changes a register exactly once, whatever the store and the network do.

Everything immutable is written first; then one compare-and-swap of the register. Nothing else is a commit. A
conditional write is sent once for each attempt, and its outcome is decided by reading back:

    reply 2xx                                       committed
    denied, or the disk is full                     raised: nothing happened, if no reply before was doubtful
    any other, and the register then holds ours     committed; only the reply was lost
    any other, and the ETag is unchanged            undecided: the same bytes are sent again with the same condition
    any other, moved, and no record since is ours   lost: the edit runs again on the new state
    the deadline passes while undecided             CommitUnknownError; nothing is cleaned up

After a plain refusal another writer has just committed, and how long a commit takes is what this attempt took: the
pause before the look at the register follows that, and grows less far than where a store is in trouble. So writers of
a folder wait for milliseconds, and what the look finds is the base of the next attempt.

One transaction id belongs to one commit. An attempt that is undecided is never abandoned for a new one: its bytes
could still land. An attempt that lost never can, since its condition names an ETag that does not recur.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from bucketry.clock import FIRST_PAUSE_SECONDS, Backoff
from bucketry.errors import (
    BucketryError,
    CommitUnknownError,
    ContendedError,
    CorruptError,
    UnavailableError,
)
from bucketry.frozen import frozen
from bucketry.registry.core.immutable import Immutable, find_object, put_immutable
from bucketry.registry.core.witnesses import is_replica, lost
from bucketry.registry.core.writing import Readable, put_document
from bucketry.schema.documents.audit import (
    BLOCK_RECORDS,
    AuditAction,
    Record,
    Trail,
    continue_trail,
    decode_block,
    encode_block,
)
from bucketry.schema.names import Digest
from bucketry.store.contract import (
    Condition,
    ETag,
    IfAbsent,
    IfMatch,
    NotSentError,
    PreconditionFailedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bucketry.clock import Clock
    from bucketry.store.contract import Store

COMMIT_DEADLINE_SECONDS = 60.0
MOST_ATTEMPTS = 100_000
SHORTEST_PACE_SECONDS = 0.001
MOST_TIMES_TWO_ATTEMPTS = 8


class HasTrail(Protocol):
    """What every register's state has: its audit trail."""

    @property
    def trail(self) -> Trail:
        """The newest records."""
        ...


S = TypeVar("S", bound=HasTrail)


@frozen
class Change(Generic[S]):
    """What an edit wants: the new state (its trail is filled in by the commit), what to record, and what it refers to.

    `objects` must exist before the commit.
    """

    state: S
    action: AuditAction
    target: str = ""
    detail: Mapping[str, object] = field(default_factory=dict)
    objects: tuple[Immutable, ...] = ()


@frozen
class Register(Generic[S]):
    """How one kind of register is read and written.

    `with_trail` returns the state with a trail; `settle` returns the state as it may be committed (a head seals its
    oldest rows) with the objects that this needs. `find_witness` returns the key of something that cannot be there
    before the register is, or "": it is asked where the register is absent, which alone does not mean that it is new.
    """

    key: str
    encode: Callable[[S], bytes]
    decode: Callable[[bytes], S]
    with_trail: Callable[[S, Trail], S]
    history_key: Callable[[int], str]
    settle: Callable[[S], tuple[S, tuple[Immutable, ...]]]
    find_witness: Callable[[Store], str]


@frozen
class Current(Generic[S]):
    """A register as it was read: no state and no ETag where there is none yet."""

    state: S | None = None
    etag: ETag | None = None

    @property
    def trail(self) -> Trail:
        """The newest records; empty where there is no register."""
        return self.state.trail if self.state is not None else Trail()

    @property
    def condition(self) -> Condition:
        """What a write that replaces exactly this must ask for."""
        return IfMatch(self.etag) if self.etag is not None else IfAbsent()


@frozen
class FirstAttempt(Generic[S]):
    """A change that was decided on already, and the register as it was read for that: its commit reads nothing anew.

    However old the reading is, the commit replaces that very state, or loses and runs its edit on what is there.
    """

    base: Current[S]
    change: Change[S]


@frozen
class Committed(Generic[S]):
    """The state that was committed, its record, and how many attempts it took."""

    state: S
    record: Record
    attempts: int


def load_current(store: Store, register: Register[S]) -> Current[S]:
    """Return the register as it is now; raise `CorruptError` for one that is absent and cannot be new."""
    found = find_object(store, register.key)
    if found is None:
        witness = register.find_witness(store)
        found = find_object(store, register.key) if witness else None  # others may just have made both
        if witness and found is None and not is_replica(store):
            raise lost(register.key, witness)
    return Current() if found is None else Current(register.decode(found.body), found.etag)


def commit(
    store: Store,
    register: Register[S],
    edit: Callable[[S | None], Change[S]],
    *,
    actor: str,
    clock: Clock,
    first: FirstAttempt[S] | None = None,
    deadline_seconds: float = COMMIT_DEADLINE_SECONDS,
) -> Committed[S]:
    """Apply a pure edit to a register, exactly once; with `first`, what the edit made of a state that was read.

    The edit runs again, all of it, on every conflict, so that each precondition is decided on the state that is
    actually replaced; what it raises ends the commit with nothing changed. Raises `ContendedError` when others won
    until the deadline, `CommitUnknownError` when the outcome could not be found out.
    """
    began_at_seconds = clock.monotonic_seconds()
    attempt = _Attempt(
        store,
        register,
        clock,
        clock.new_transaction(),
        deadline_seconds=began_at_seconds + deadline_seconds,
        began_at_seconds=began_at_seconds,
        turns=Backoff(clock, most_times=MOST_TIMES_TWO_ATTEMPTS),
    )
    if first is None:
        current = load_current(store, register)
        first = FirstAttempt(current, edit(current.state))
    base, change = first.base, first.change
    for number in range(1, MOST_ATTEMPTS + 1):
        state, record, whole = attempt.prepare(base, change, actor)
        winner = attempt.send(base, whole)
        if winner is None:
            return Committed(state, record, number)
        if attempt.is_late():
            break
        base, change = winner, edit(winner.state)
    raise ContendedError(
        f"others kept changing {register.key} for {deadline_seconds:.0f} s", advice="try again in a moment"
    )


@dataclass(slots=True)
class _Attempt(Generic[S]):
    """One logical write: its transaction id and deadline stay the same over all attempts."""

    store: Store
    register: Register[S]
    clock: Clock
    transaction: str
    deadline_seconds: float
    began_at_seconds: float
    turns: Backoff

    def is_late(self) -> bool:
        return self.clock.monotonic_seconds() >= self.deadline_seconds

    def prepare(self, base: Current[S], change: Change[S], actor: str) -> tuple[S, Record, Readable]:
        """Write everything immutable that the change needs, and return what the register shall become.

        All of it can be read before the first of it is written.
        """
        record = Record(
            generation=0,
            transaction=self.transaction,
            at=self.clock.timestamp(),
            actor=actor,
            action=change.action,
            target=change.target,
            previous=Digest(""),
            detail=change.detail,
        )
        record = continue_trail(base.trail, record)
        trail, leaving = base.trail.extended(record)
        state, objects = self.register.settle(self.register.with_trail(change.state, trail))
        whole = Readable(self.register.key, self.register.encode(state))
        if leaving:
            block = Immutable(self.register.history_key(leaving[0].generation), encode_block(leaving))
            objects = (*objects, block)
        for item in (*change.objects, *objects):
            put_immutable(self.store, item, clock=self.clock, deadline_seconds=self.deadline_seconds)
        return state, record, whole

    def send(self, base: Current[S], whole: Readable) -> Current[S] | None:
        """Return None once the bytes are committed, or the register that others put in place of the base."""
        backoff = Backoff(self.clock)
        for number in range(MOST_ATTEMPTS):
            try:
                put_document(self.store, whole, base.condition)
            except BucketryError as doubtful:
                doubt = doubtful
                if not _is_doubtful(doubt):
                    if number == 0:
                        raise  # refused before anything could have happened
                    raise self._unknown() from doubt
            else:
                return None
            if number == 0 and isinstance(doubt, PreconditionFailedError):
                self._let_others_pass()
            else:
                backoff.pause(at_least_seconds=_asked_seconds(doubt))
            current = self._read_back(backoff, doubt)
            if self._holds_ours(base, current):
                return None
            if current.etag != base.etag:
                return current
            if self.is_late():
                raise self._unknown() from doubt
        raise self._unknown()

    def _let_others_pass(self) -> None:
        """Sleep for `random(0, pace * min(16, 2^refusals))`; the next attempt begins with the look that follows.

        Twice an attempt is long enough that others rarely meet again, and 16 times gives each of dozens its turn: the
        store is well, so waiting for longer would only leave it idle.
        """
        took_seconds = self.clock.monotonic_seconds() - self.began_at_seconds
        self.turns.first_seconds = 2 * min(FIRST_PAUSE_SECONDS, max(SHORTEST_PACE_SECONDS, took_seconds))
        self.turns.pause()
        self.began_at_seconds = self.clock.monotonic_seconds()

    def _read_back(self, backoff: Backoff, doubt: BucketryError) -> Current[S]:
        """Read the register, however long it takes before the deadline; slow down as the store asks."""
        for _ in range(MOST_ATTEMPTS):
            try:
                return load_current(self.store, self.register)
            except UnavailableError as error:
                if self.is_late():
                    raise self._unknown() from error
                backoff.pause(at_least_seconds=_asked_seconds(doubt))
            except BucketryError as error:
                raise self._unknown() from error
        raise self._unknown()

    def _holds_ours(self, base: Current[S], current: Current[S]) -> bool:
        """Return whether our transaction is among all records since the base; raise when that cannot be known."""
        if current.trail.find(self.transaction):
            return True
        if current.etag == base.etag:
            return False
        if current.state is None:
            raise CorruptError(
                f"{self.register.key} was deleted while it was being changed",
                advice="restore it from the bucket's versions or from a mirror; registers are never deleted",
            )
        if not current.trail.records:
            return False  # a head that others began, while there was none
        wanted = base.trail.generation + 1
        oldest = current.trail.records[0].generation
        return any(self.transaction == record.transaction for record in self._sealed_records(wanted, oldest))

    def _sealed_records(self, wanted: int, oldest: int) -> list[Record]:
        """Return the sealed records from generation `wanted` to before `oldest`."""
        records: list[Record] = []
        first_block = (wanted - 1) // BLOCK_RECORDS * BLOCK_RECORDS + 1
        for first in range(first_block, oldest, BLOCK_RECORDS):
            key = self.register.history_key(first)
            try:
                block = find_object(self.store, key)
            except BucketryError as error:
                raise self._unknown() from error
            if block is None:
                raise self._unknown()
            records.extend(decode_block(block.body, what=key))
        return records

    def _unknown(self) -> CommitUnknownError:
        return CommitUnknownError(
            f"whether transaction {self.transaction} changed {self.register.key} could not be found out",
            transaction=self.transaction,
            advice="look for the transaction with `bucketry audit` before trying again",
        )


def _asked_seconds(error: BucketryError) -> float:
    return (error.retry_after_seconds or 0.0) if isinstance(error, UnavailableError) else 0.0


def _is_doubtful(error: BucketryError) -> bool:
    """Return whether a write may have happened all the same; on a full disk, or where it was not sent, it has not."""
    return isinstance(error, PreconditionFailedError | UnavailableError) and not isinstance(error, NotSentError)
