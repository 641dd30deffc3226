"""What can go wrong between a program and a bucket?

Every call of the store is a switching point and may meet a fault, a bounded number of them in each run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from bucketry.clock import Clock
from bucketry.errors import UnavailableError
from bucketry.schema import keys
from bucketry.schema.names import ModelName
from bucketry.store.contract import (
    Body,
    ByteStream,
    Condition,
    Entry,
    ETag,
    Folder,
    NotModifiedError,
    Object,
    ObjectNotFoundError,
    Part,
    PreconditionFailedError,
    SlowDownError,
    Store,
    Unconditional,
)
from simulation.world import Crash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from simulation.world import World

T = TypeVar("T")

LONG_STALL_SECONDS = 90.0
SHORT_STALL_SECONDS = 8.0

WRITE_FAULTS = (
    "lost",  # the request never arrives
    "reply lost",  # it is applied; the reply is a time-out or a reset
    "arrives late",  # time-out; it is applied after others have moved
    "late, then crash",
    "twice",  # applied twice, and the second one replies
    "twice, first replies",
    "again later",  # applied and answered; a duplicate arrives later
    "conflict",  # 409 or 412 for no reason, not applied
    "conflict after success",  # 412 though this very request was applied
    "slow down",  # 503, not applied
    "slow down after success",
    "crash before",
    "crash after",
    "stall",  # the process sleeps before the request is sent
    "reply lost, then stall",
    "outage",  # nothing arrives from this process for a while
    "outage after success",
    "late, then outage",
)
READ_FAULTS = ("lost", "slow down", "crash before", "crash after", "stall", "outage")


@dataclass(slots=True)
class Faults:
    """How many faults a run may still meet, how likely each call meets one, and which."""

    budget: int = 0
    one_in: int = 8
    writes: Sequence[str] = WRITE_FAULTS
    reads: Sequence[str] = READ_FAULTS
    stall_seconds: Sequence[float] = (SHORT_STALL_SECONDS, LONG_STALL_SECONDS)
    only: Sequence[str] = field(default_factory=tuple)
    """Prefixes of the keys that faults concern; all, if empty."""

    def draw(self, world: World, key: str, kinds: Sequence[str]) -> str:
        """Return the fault that this call meets, or nothing."""
        if self.budget < 1 or not kinds or (self.only and not key.startswith(tuple(self.only))):
            return ""
        if not world.script.happens(self.one_in):
            return ""
        self.budget -= 1
        return kinds[world.script.index(len(kinds))]


class SimulatedStore:
    """The bucket as one process sees it. `lies` is how the store breaks its promises, for the tests of the oracle."""

    def __init__(self, world: World, faults: Faults, *, lies: str = "", clock: Clock | None = None) -> None:
        self._world = world
        self._bucket = world.bucket
        self.clock = clock or Clock(sleep=world.sleep)
        self._faults = faults
        self._lies = lies
        self._cut_off_until_seconds = 0.0

    def at_replica(self) -> SimulatedStore:
        """Return the replica's bucket, as the same process sees it."""
        assert self._world.replica is not None
        other = SimulatedStore(self._world, self._faults, clock=self.clock)
        other._bucket = self._world.replica
        return other

    @property
    def name(self) -> str:
        return "simulated:" if self._bucket is self._world.bucket else "replica:"

    @property
    def endpoint(self) -> str:
        return "simulated"

    @property
    def unretried(self) -> SimulatedStore:
        return self

    def local_path(self, key: str) -> None:
        pass

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        return self._read("get", key, lambda: self._bucket.get(key, unless=unless))

    def stat(self, key: str) -> Entry:
        return self._read("stat", key, lambda: self._bucket.stat(key))

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        return self._write("put", key, lambda: self._apply_put(key, body, condition))

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        return iter(self._read("list", prefix, lambda: list(self._bucket.list(prefix, delimiter=delimiter))))

    def delete(self, key: str) -> None:
        self._write("delete", key, lambda: self._bucket.delete(key))

    def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
        return self._write("put blob", key, lambda: self._apply_blob(key, body, sha256))

    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> AbstractContextManager[ByteStream]:
        return self._read("range", key, lambda: self._bucket.open_range(key, start, stop, etag=etag))

    # Nobody who acts here uploads in parts.

    def start_upload(self, key: str) -> str:
        raise NotImplementedError(key)

    def upload_part(
        self, key: str, upload: str, number: int, offset: int, body: Body, *, sha256: str | None = None
    ) -> Part:
        raise NotImplementedError(key)

    def copy_part(  # noqa: PLR0917 - the interface's own
        self,
        key: str,
        upload: str,
        number: int,
        offset: int,
        source_key: str,
        start: int,
        stop: int,
        *,
        source: Store | None = None,
    ) -> Part:
        raise NotImplementedError(key)

    def list_parts(self, key: str, upload: str) -> Sequence[Part]:
        raise NotImplementedError(key)

    def complete_upload(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        raise NotImplementedError(key)

    def abort_upload(self, key: str, upload: str) -> None:
        raise NotImplementedError(key)

    def list_uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        return self._bucket.list_uploads(prefix)

    def close(self) -> None:
        pass

    def _apply_blob(self, key: str, body: Body, sha256: str | None) -> Entry:
        self._look_for_head(key)
        return self._bucket.put_blob(key, body, sha256=sha256)

    def _look_for_head(self, key: str) -> None:
        """Tell it where bytes or a manifest land before their model has a head: such a crash would leave no head."""
        if self._bucket is not self._world.bucket:
            return  # a replica gets its heads last
        kind, namespace, name, *_ = [*key.split("/"), "", ""]
        if f"{kind}/" in {keys.BLOBS, keys.MANIFESTS}:
            try:
                self._bucket.stat(keys.head(ModelName(namespace, name)))
            except ObjectNotFoundError:
                self._world.failures.append(f"{key} was written before its model had a head")

    def _apply_put(self, key: str, body: bytes, condition: Condition) -> ETag:
        self._look_for_head(key)
        if self._lies == "ignores conditions":
            return self._bucket.put(key, body, Unconditional())
        if self._lies == "checks, then writes":
            self._bucket._check(key, condition)  # noqa: SLF001 - a store that is not atomic, made from one that is
            self._world.switch()
            return self._bucket.put(key, body, Unconditional())
        return self._bucket.put(key, body, condition)

    def _read(self, call: str, key: str, apply: Callable[[], T]) -> T:
        self._world.switch()
        fault = self._faults.draw(self._world, key, self._faults.reads)
        self._note(call, key, fault)
        if fault == "crash before":
            raise Crash
        if fault == "outage":
            self._cut_off()
        if fault == "lost" or self._is_cut_off:
            raise _timeout(key)
        if fault == "slow down":
            raise _slow_down(key)
        if fault == "stall":
            self._stall()
        try:
            reply = apply()
        except (ObjectNotFoundError, NotModifiedError) as error:
            self._world.note("reply", type(error).__name__)
            raise
        if fault == "crash after":
            raise Crash
        return reply

    def _write(self, call: str, key: str, apply: Callable[[], T]) -> T:
        self._world.switch()
        fault = self._faults.draw(self._world, key, self._faults.writes)
        self._note(call, key, fault)
        if fault == "stall":
            self._stall()
        self._fail_before(key, fault, apply)
        try:
            reply = apply()
        except PreconditionFailedError:
            self._world.note("reply", "refused")
            self._fail_after(key, fault, apply)
            raise
        self._fail_after(key, fault, apply)
        return reply

    def _fail_before(self, key: str, fault: str, apply: Callable[[], object]) -> None:
        """Raise for the faults that keep the request from being applied now."""
        if fault in {"arrives late", "late, then crash", "late, then outage"}:
            self._world.send_late(lambda: self._land(key, apply))
        if fault in {"crash before", "late, then crash"}:
            raise Crash
        if fault in {"outage", "late, then outage"}:
            self._cut_off()
        if fault in {"lost", "arrives late"} or self._is_cut_off:
            raise _timeout(key)
        if fault == "conflict":
            raise PreconditionFailedError(f"simulated: {key}: 409")
        if fault == "slow down":
            raise _slow_down(key)

    def _fail_after(self, key: str, fault: str, apply: Callable[[], object]) -> None:
        """Raise for the faults that happen once the request was applied, or refused."""
        if fault == "crash after":
            raise Crash
        if fault == "outage after success":
            self._cut_off()
        if fault in {"reply lost", "outage after success"}:
            raise _timeout(key)
        if fault == "reply lost, then stall":
            self._stall()
            raise _timeout(key)
        if fault == "conflict after success":
            raise PreconditionFailedError(f"simulated: {key}: 412")
        if fault == "slow down after success":
            raise _slow_down(key)
        if fault == "twice":
            apply()
        if fault == "twice, first replies":
            self._land(key, apply)
        if fault == "again later":
            self._world.send_late(lambda: self._land(key, apply))

    def _land(self, key: str, apply: Callable[[], object]) -> None:
        try:
            apply()
        except PreconditionFailedError:
            self._world.note("arrived late, refused", key)
        else:
            self._world.note("arrived late, applied", key)

    @property
    def _is_cut_off(self) -> bool:
        return self._world.now_seconds < self._cut_off_until_seconds

    def _cut_off(self) -> None:
        self._cut_off_until_seconds = self._world.now_seconds + self._some_seconds()

    def _stall(self) -> None:
        self._world.switch(seconds=self._some_seconds())

    def _some_seconds(self) -> float:
        seconds = self._faults.stall_seconds
        return seconds[self._world.script.index(len(seconds))]

    def _note(self, call: str, key: str, fault: str) -> None:
        self._world.note(call, key, fault)


def _timeout(key: str) -> UnavailableError:
    return UnavailableError(f"simulated: no reply for {key}")


def _slow_down(key: str) -> SlowDownError:
    return SlowDownError(f"simulated: too many requests for {key}", retry_after_seconds=1.5)
