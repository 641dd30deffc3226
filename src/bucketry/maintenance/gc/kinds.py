"""The table of what is collected beside the blobs of models. A new kind of thing that may go is a new line here.

Blobs need more than a line: who may free them is decided on the model's head (`model.py`).
"""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.maintenance.gc.garbage import Garbage, GarbageReason
from bucketry.registry.serving.ready import is_gone
from bucketry.schema import keys
from bucketry.store.contract import Entry, HasLeftovers, Leftover, ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucketry.registry.core.session import Session

DAY_SECONDS = 24 * 3600.0
WEEK_SECONDS = 7 * DAY_SECONDS
ABANDONED_SECONDS = 30 * DAY_SECONDS
"""An array job may wait in a queue for weeks."""
BLOB_GRACE_SECONDS = DAY_SECONDS
"""A pull of a version that is deleted meanwhile has so long to end; to free earlier would be as safe for all others."""


@frozen
class CollectedKind:
    """What may go once it has lain untouched for so long, or for the grace that was asked for if that is longer.

    `find` yields all of it with its time, whatever its age; `free` says whether it was still there.
    """

    reason: GarbageReason
    grace_seconds: float
    find: Callable[[Session], Iterator[Garbage]]
    free: Callable[[Session, Garbage], bool]


def _find_uploads(session: Session) -> Iterator[Garbage]:
    for key, upload, started_at in session.store.list_uploads(keys.BLOBS):
        try:
            model = str(keys.model_of_key(key))
            size_bytes = sum(part.size_bytes for part in session.store.list_parts(key, upload))
        except (UsageError, ObjectNotFoundError):
            continue  # nobody's key, or finished since it was listed
        yield Garbage(key, size_bytes, GarbageReason.UNFINISHED_UPLOAD, started_at, model, upload=upload)


def _abort_upload(session: Session, garbage: Garbage) -> bool:
    session.store.abort_upload(garbage.key, garbage.upload)
    return True


def _find_staged(session: Session) -> Iterator[Garbage]:
    store = session.store.unretried
    if isinstance(store, HasLeftovers):
        for leftover in store.list_leftovers():
            yield Garbage(leftover.name, leftover.size_bytes, GarbageReason.STAGED_FILE, leftover.modified_at)


def _remove_staged(session: Session, garbage: Garbage) -> bool:
    leftover = Leftover(garbage.key, garbage.size_bytes, garbage.modified_at)
    store = session.store.unretried
    return isinstance(store, HasLeftovers) and store.remove_leftover(leftover)


def _find_scratch(session: Session) -> Iterator[Garbage]:
    for entry in session.store.list(keys.PROBE):
        if isinstance(entry, Entry):
            yield Garbage(entry.key, entry.size_bytes, GarbageReason.PROBE_SCRATCH, entry.modified_at)


def _find_served(session: Session) -> Iterator[Garbage]:
    """Find copies of versions that were refused or deleted, which is for ever: nobody can make one ready again."""
    entries = (entry for entry in session.store.list(keys.SERVE) if isinstance(entry, Entry))
    for place, group in groupby(entries, lambda entry: keys.find_serve_place(entry.key)):
        if place is None or not is_gone(session, place[0], place[1]):
            continue
        model, version, _ = place
        for entry in group:
            yield Garbage(
                entry.key, entry.size_bytes, GarbageReason.SERVED_COPY, entry.modified_at, str(model), version=version
            )


def _remove_served(session: Session, garbage: Garbage) -> bool:
    """Remove a copy, but first what says that it is there: a revocation does it too, where it has the right."""
    place = keys.find_serve_place(garbage.key)
    if place is not None:
        session.store.delete(keys.ready(place[2]))
    session.store.delete(garbage.key)
    return True


def _find_work(session: Session, *, is_finished: bool) -> Iterator[Garbage]:
    """Yield the documents of each plan whose shards all have a result, or of the others.

    One without its plan is as good as finished: it was half made, or half removed. All are as old as the newest.
    """
    reason = GarbageReason.FINISHED_WORK if is_finished else GarbageReason.ABANDONED_WORK
    listed = (
        (place, entry)
        for entry in session.store.list(keys.WORK)
        if isinstance(entry, Entry) and (place := keys.find_work_place(entry.key)) is not None
    )
    for _, group in groupby(listed, lambda item: item[0].work):
        found = list(group)
        numbers = {kind: {place.number for place, _ in found if place.kind == kind} for kind in ("shards", "results")}
        has_plan = any(place.kind == "plan" for place, _ in found)
        if (not has_plan or numbers["shards"] <= numbers["results"]) == is_finished:
            newest = max(entry.modified_at for _, entry in found)
            for _, entry in found:
                yield Garbage(entry.key, entry.size_bytes, reason, newest)


def _delete(session: Session, garbage: Garbage) -> bool:
    session.store.delete(garbage.key)
    return True


KINDS = (
    CollectedKind(GarbageReason.UNFINISHED_UPLOAD, WEEK_SECONDS, _find_uploads, _abort_upload),
    CollectedKind(GarbageReason.STAGED_FILE, WEEK_SECONDS, _find_staged, _remove_staged),
    CollectedKind(GarbageReason.PROBE_SCRATCH, WEEK_SECONDS, _find_scratch, _delete),
    CollectedKind(GarbageReason.SERVED_COPY, 0.0, _find_served, _remove_served),
    CollectedKind(GarbageReason.FINISHED_WORK, WEEK_SECONDS, partial(_find_work, is_finished=True), _delete),
    CollectedKind(GarbageReason.ABANDONED_WORK, ABANDONED_SECONDS, partial(_find_work, is_finished=False), _delete),
)
"""In the order in which they are looked for. Nothing here is a document that anybody cites."""
