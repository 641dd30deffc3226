"""Registries and their replicas in memory, for the tests of the mirror: what each holds, and what was asked of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.mirror.mirror import MirrorOptions, mirror
from bucketry.schema import keys
from bucketry.schema.documents.replica import Selection
from bucketry.store.contract import Entry
from maintenance.planting import made
from simulation.scenes import FEW, founder
from simulation.world import Bucket

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bucketry.maintenance.mirror.mirror import MirrorReport
    from bucketry.registry.core.session import Session
    from bucketry.store.contract import Body, Condition, ETag, Folder, Object, Part, Store
    from simulation.scenes import Beginning


class Noting(Bucket):
    """A bucket with a name of its own that counts what is asked of it, by the kind of object."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.asked: Counter[str] = Counter()
        self.puts: list[str] = []

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        self.asked[f"get {kind_of(key)}"] += 1
        return super().get(key, unless=unless)

    def stat(self, key: str) -> Entry:
        self.asked[f"stat {kind_of(key)}"] += 1
        return super().stat(key)

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        self.asked[f"list {prefix}"] += 1
        return super().list(prefix, delimiter=delimiter)

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        self._note_write(key)
        return super().put(key, body, condition)

    def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
        self._note_write(key)
        return super().put_blob(key, body, sha256=sha256)

    def complete_upload(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        self._note_write(key)
        super().complete_upload(key, upload, parts)

    def _note_write(self, key: str) -> None:
        if not key.startswith(keys.PROBE):
            self.asked[f"put {kind_of(key)}"] += 1
            self.puts.append(key)


def kind_of(key: str) -> str:
    return f"{key.partition('/')[0]}/" if "/" in key else key


@dataclass
class Pair:
    """A registry and the place that it is mirrored to."""

    source: Noting
    target: Noting = field(default_factory=lambda: Noting("s3://replica"))

    def mirror(
        self,
        selection: Selection | None = None,
        *,
        dry_run: bool = False,
        full: bool = False,
        read: bool = False,
        prune: bool = False,
    ) -> MirrorReport:
        options = MirrorOptions(selection or Selection(), dry_run=dry_run, full=full, read=read, prune=prune)
        return mirror(self.at_source(), self.at_replica(), options)

    def at_source(self) -> Session:
        return founder(self.source)

    def at_replica(self) -> Session:
        return founder(self.target)

    def forget(self) -> None:
        for bucket in (self.source, self.target):
            bucket.asked.clear()
            bucket.puts.clear()


def pair(beginning: Beginning = FEW) -> Pair:
    source = Noting("s3://source")
    source.restore(made(beginning).snapshot())
    return Pair(source)


def content(store: Store) -> dict[str, bytes]:
    """Return what lies in a place, but for what says that it is a replica."""
    listed = [entry.key for entry in store.list("") if isinstance(entry, Entry)]
    return {key: store.get(key).body for key in listed if not key.startswith((keys.REGISTRY, keys.REPLICA))}


def registers_of(store: Store) -> dict[str, bytes]:
    return {key: body for key, body in content(store).items() if key.startswith((keys.HEADS, keys.ALIASES))}


def assert_whole(replica: Session) -> None:
    """Hold that the integrity check finds nothing at all, bytes and signatures included."""
    report = check_registry(replica, deep=True)
    assert report.findings == (), report.findings
