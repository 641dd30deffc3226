"""What costs what: the bytes of each model that versions need, that they share, and that a collection could free."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, reason_of
from bucketry.frozen import frozen
from bucketry.maintenance.gc.listing import iter_model_blobs
from bucketry.maintenance.gc.marks import iter_all_rows, iter_placed
from bucketry.registry.core.registers import load_existing_head, load_head
from bucketry.registry.core.session import DocumentCache
from bucketry.registry.versions.listing import iter_model_names
from bucketry.schema import keys
from bucketry.schema.documents.states import BLOBS_KEPT
from bucketry.store.contract import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head
    from bucketry.schema.documents.states import State
    from bucketry.schema.names import ModelName

KEPT_DOCUMENT_BYTES = 8 * 1024 * 1024


@frozen
class VersionUsage:
    """What one live version needs, of it what no other live version does, and what lies under another epoch too."""

    version: int
    state: State
    size_bytes: int
    own_bytes: int
    duplicate_bytes: int


@frozen
class ModelUsage:
    """What a model takes. Bytes are counted once however many versions need them.

    `live_bytes` are needed, `shared_bytes` of them by more than one version; a collection could free
    `reclaimable_bytes`, as soon as their grace is over. `duplicate_bytes` are needed and lie somewhere else too, in
    this model or in one before it. `versions` counts the live ones. Where `damaged` says why, nobody can tell.
    """

    model: ModelName
    live_bytes: int = 0
    shared_bytes: int = 0
    reclaimable_bytes: int = 0
    duplicate_bytes: int = 0
    versions: int = 0
    by_version: tuple[VersionUsage, ...] = ()
    damaged: str = ""

    @property
    def size_bytes(self) -> int:
        """All that lies in the bucket for the model."""
        return self.live_bytes + self.reclaimable_bytes


def measure_usage(session: Session, *, progress: Callable[[int, int], None] | None = None) -> list[ModelUsage]:
    """Return what each model takes that has any blobs; `progress` hears how many are done, and how many there are."""
    session = replace(session, documents=DocumentCache(KEPT_DOCUMENT_BYTES))
    _ = session.registry  # a registry that is not there takes nothing, and that is no answer
    seen: set[int] = set()
    found: list[ModelUsage] = []
    models = sum(1 for _ in iter_model_names(session)) if progress is not None else 0
    for model, entries in iter_model_blobs(session.store):
        if progress is not None:
            progress(len(found), max(models, len(found)))
        try:
            head = load_head(session, model).state
            found.append(_measure(session, model, head, entries, seen, {}))
        except UNREADABLE as error:
            found.append(ModelUsage(model, damaged=reason_of(error)))
    return found


def measure_model(session: Session, model: ModelName) -> ModelUsage:
    """Return what a model and each live version of it takes; raise `NotFoundError`, or where it cannot be read."""
    session = replace(session, documents=DocumentCache(KEPT_DOCUMENT_BYTES))
    head = load_existing_head(session, model)
    entries = (entry for entry in session.store.list(keys.blobs(model)) if isinstance(entry, Entry))
    counts: dict[int, int] = {}
    usage = _measure(session, model, head, entries, set(), counts)
    places = Counter(blob & _CONTENT for blob in counts)
    versions = (
        VersionUsage(
            version,
            state,
            sum(blobs.values()),
            sum(size for blob, size in blobs.items() if counts[blob] == 1),
            sum(size for blob, size in blobs.items() if places[blob & _CONTENT] > 1),
        )
        for version, state, blobs in _iter_needed(session, head)
    )
    return replace(usage, by_version=tuple(versions))


def _measure(
    session: Session,
    model: ModelName,
    head: Head | None,
    entries: Iterable[Entry],
    seen: set[int],
    counts: dict[int, int],
) -> ModelUsage:
    """Count; `seen` are the contents of models before it, and `counts` becomes how many versions need each blob."""
    versions = live_bytes = shared_bytes = reclaimable_bytes = duplicate_bytes = 0
    for _, _, blobs in _iter_needed(session, head) if head is not None else ():
        versions += 1
        for blob in blobs:
            counts[blob] = counts.get(blob, 0) + 1
    for entry in entries:
        place = keys.find_blob_place(model, entry.key)
        if place is None:
            continue  # no key of ours: fsck names it
        blob = _name(*place)
        if blob not in counts:
            reclaimable_bytes += entry.size_bytes
            continue
        live_bytes += entry.size_bytes
        shared_bytes += entry.size_bytes if counts[blob] > 1 else 0
        content = blob & _CONTENT
        duplicate_bytes += entry.size_bytes if content in seen else 0
        seen.add(content)
    return ModelUsage(model, live_bytes, shared_bytes, reclaimable_bytes, duplicate_bytes, versions)


def _iter_needed(session: Session, head: Head) -> Iterator[tuple[int, State, dict[int, int]]]:
    """Yield each live version, newest first, with the blobs that it needs and their sizes."""
    live = (row for row in iter_all_rows(session, head) if row.state in BLOBS_KEPT)
    for row, blobs in iter_placed(session, head.model, live):
        yield row.version, row.state, {_name(epoch, sha256): size_bytes for epoch, sha256, size_bytes in blobs}


_CONTENT_BITS = 64
_CONTENT = (1 << _CONTENT_BITS) - 1


def _name(epoch: int, sha256: str) -> int:
    """Return a number for a blob: 64 bits of its digest, a third of the memory of all, below its epoch."""
    return epoch << _CONTENT_BITS | int(sha256[: _CONTENT_BITS // 4], 16)
