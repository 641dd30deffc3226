"""What does a mirror do among the others, and what must hold of its replica at every moment and in the end?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.clock import Backoff
from bucketry.errors import UnavailableError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.mirror.mirror import MirrorOptions, mirror
from bucketry.registry.core.session import DocumentCache, Session
from bucketry.registry.publishing.registration import PreparedVersion, RegisteredVersion, register_version
from bucketry.schema import keys
from bucketry.schema.codec import decode
from bucketry.schema.documents.manifest import Parent
from bucketry.schema.documents.replica import Selection
from bucketry.store.contract import Entry, ObjectNotFoundError, PreconditionFailedError
from bucketry.transfer.up.upload import UploadOutcome
from simulation.actors import BASE, CHAT, CONTENTS, Attempt, Operation, Uploader, make_manifest, manifest_digest
from simulation.faults import SimulatedStore
from simulation.world import BEGINNING, Bucket, one_after_another

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from bucketry.store.contract import Condition, ETag, Store
    from bucketry.transfer.up.stored import StoredFile
    from simulation.world import World

REGISTERS = (keys.HEADS, keys.ALIASES)
MOST_TRIES = 40
DANGLING = ("is missing", "are missing", "which is not there")
"""What the integrity check says of a register that names what is not there."""


class Replica(Bucket):
    """The place that is mirrored to. It looks at every register that is written: none goes back, none dangles."""

    def __init__(self) -> None:
        super().__init__(clock=_beginning, name="replica:")
        self.broken: list[str] = []

    @property
    def endpoint(self) -> str:
        return "simulated"

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        before = self._generation(key) if key.startswith(REGISTERS) else 0
        etag = super().put(key, body, condition)
        if key.startswith(REGISTERS):
            if self._generation(key) < before:
                self.broken.append(f"{key} went back from generation {before} to {self._generation(key)}")
            self.broken += [f"after {key} was written: {problem}" for problem in find_dangling(self)]
        return etag

    def _generation(self, key: str) -> int:
        try:
            return int(decode(self.get(key).body, what=key)["generation"])
        except ObjectNotFoundError:
            return 0


def begin_replica(world: World) -> None:
    """Give the world a replica that has nothing of the registry yet but its own document."""
    alone = Bucket(clock=_beginning)
    alone.restore({key: value for key, value in world.bucket.snapshot().items() if key == keys.REGISTRY})
    replica = Replica()
    mirror(_undisturbed(alone), _undisturbed(replica))
    world.replica = replica


def mirroring(selection: Selection | None = None) -> Operation:
    """Return a mirror to the world's replica; one that died or was cut off is run again."""

    def act(session: Session, _: Attempt) -> None:
        assert isinstance(session.store, SimulatedStore)
        target = replace(session, store=session.store.at_replica(), documents=DocumentCache(), _registry=[])
        mirror(session, target, MirrorOptions(selection or Selection(), copy_files=copy_one_by_one))

    return Operation("mirror", "", act, again=True)


def publishing_a_family(name: str) -> Operation:
    """Return the publishing of a version of the base model, and then of one that is made from it."""

    def act(session: Session, attempt: Attempt) -> RegisteredVersion:
        notes = f"{name} {session.clock.timestamp()} {attempt.number}"
        base = make_manifest(BASE, [CONTENTS[1]], notes=notes)
        made = register_version(session, PreparedVersion(base), Uploader(session, BASE))
        parent = Parent(BASE, made.version, made.manifest, "finetune")
        child = make_manifest(CHAT, [CONTENTS[2]], notes=notes, parents=(parent,))
        attempt.manifest = manifest_digest(child)
        return register_version(session, PreparedVersion(child), Uploader(session, CHAT))

    return Operation("publish", keys.head(CHAT), act)


def copy_one_by_one(store: Store, files: Sequence[StoredFile]) -> list[UploadOutcome]:
    """Copy files without threads of our own."""
    return [_copy(store, file) for file in files]


def find_dangling(replica: Bucket) -> Iterator[str]:
    """Yield what a register of a replica names and what is not there."""
    for finding in check_registry(_undisturbed(replica)).damage:
        if finding.message.rstrip(".").endswith(DANGLING) and finding.key != keys.REGISTRY:
            yield f"{finding.key}: {finding.message}"


def find_broken_replica(world: World) -> list[str]:
    """Return what is wrong with the replica after a run, in words: on the way, and after one more mirror."""
    replica = world.replica
    if replica is None:
        return []
    assert isinstance(replica, Replica)
    broken = list(replica.broken)
    report = mirror(_undisturbed(world.bucket), _undisturbed(replica))
    broken += [f"{failure.what} could not be mirrored: {failure.error.message}" for failure in report.failures]
    ours, theirs = _registers(world.bucket), _registers(replica)
    broken += [f"{key} is not the same in the replica" for key in ours if theirs.get(key) != ours[key]]
    broken += [f"{one.key} of the replica: {one.message}" for one in check_registry(_undisturbed(replica)).damage]
    return broken


def _registers(bucket: Bucket) -> dict[str, bytes]:
    listed = [entry.key for entry in bucket.list("") if isinstance(entry, Entry) and entry.key.startswith(REGISTERS)]
    return {key: bucket.get(key).body for key in listed}


def _undisturbed(bucket: Bucket) -> Session:
    return Session(bucket, actor="mirror@example.org", map_in_parallel=one_after_another)


def _copy(store: Store, file: StoredFile) -> UploadOutcome:
    backoff = Backoff(store.clock) if isinstance(store, SimulatedStore) else None
    for _ in range(MOST_TRIES):
        try:
            content = file.source.get(file.source_key).body
            store.put_blob(file.key, memoryview(content), sha256=file.digest.sha256)
        except PreconditionFailedError:
            if _is_there(store, file.key):
                return UploadOutcome(file.label, file.key, file.digest.size_bytes, 0, already_there=True)
        except UnavailableError:
            if backoff is not None:
                backoff.pause()
        else:
            return UploadOutcome(file.label, file.key, file.digest.size_bytes, len(content), already_there=False)
    raise UnavailableError(f"{file.key} could not be copied")


def _is_there(store: Store, key: str) -> bool:
    try:
        store.stat(key)
    except (ObjectNotFoundError, UnavailableError):
        return False
    return True


def _beginning() -> datetime:
    return BEGINNING
