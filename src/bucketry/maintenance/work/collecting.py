"""Folds what the shards of a deep check came to into the report that the whole check gives.

It is that very check, which does not read again what a shard found right in the object that is there now. All else it
reads itself: what a shard found wrong, what was replaced or published since the plan, what the plan could not read. So
nothing is called damage because it moved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import UnavailableError
from bucketry.frozen import frozen
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.fsck.verified import VerifiedBlobs
from bucketry.maintenance.work.running import find_result, load_plan, load_shard
from bucketry.schema import keys
from bucketry.store.contract import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.maintenance.fsck.registry import CheckProgress, Report
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.work import Piece, WorkPlan

MOST_NAMED = 10


@frozen
class WorkStatus:
    """A plan, and which of its shards have no result yet."""

    plan: WorkPlan
    missing: tuple[int, ...]


def list_work(session: Session) -> list[WorkStatus]:
    """Return all plans, the newest first; raise `CorruptError` for one that cannot be read."""
    names = {
        place.work
        for entry in session.store.list(keys.WORK)
        if isinstance(entry, Entry) and (place := keys.find_work_place(entry.key)) and place.kind == "plan"
    }
    found = [load_status(session, work) for work in names]
    return sorted(found, key=lambda status: (status.plan.at, status.plan.work), reverse=True)


def load_status(session: Session, work: str) -> WorkStatus:
    """Return how far a plan is; raise `NotFoundError`."""
    plan = load_plan(session, work)
    places = [
        keys.find_work_place(entry.key)
        for entry in session.store.list(keys.work_results(work))
        if isinstance(entry, Entry)
    ]
    done = {place.number for place in places if place is not None}
    return WorkStatus(plan, tuple(number for number in range(len(plan.shards)) if number not in done))


def collect_check(session: Session, work: str, progress: CheckProgress | None = None) -> Report:
    """Return the report of a deep check whose bytes the shards of a plan have read.

    Raises `UnavailableError` while a shard has no result.
    """
    status = load_status(session, work)
    if status.missing:
        named = ", ".join(map(str, status.missing[:MOST_NAMED]))
        more = f" and {len(status.missing) - MOST_NAMED:,} more" if len(status.missing) > MOST_NAMED else ""
        raise UnavailableError(
            f"{len(status.missing):,} of {len(status.plan.shards):,} shards of {work} have no result: {named}{more}",
            advice=f"run each, as with `bucketry work run {work} --shard {status.missing[0]}`, then collect again",
        )
    return check_registry(session, deep=True, progress=progress, verified=_load_verified(session, status.plan))


def _load_verified(session: Session, plan: WorkPlan) -> VerifiedBlobs:
    verified = VerifiedBlobs()
    part: Piece | None = None  # of a blob that was cut: what is right of it from its first chunk on
    for piece in _iter_right(session, plan):
        if part is not None and _follows(part, piece):
            part = replace(part, sha256=part.sha256 + piece.sha256)
        else:
            part = piece if piece.first == 0 else None
        if part is not None and part.is_whole:
            verified.add(part.key, part.etag, part.chunk_bytes, part.sha256)
            part = None
    return verified


def _iter_right(session: Session, plan: WorkPlan) -> Iterator[Piece]:
    for number in range(len(plan.shards)):
        result = find_result(session, plan.work, number)
        if result is not None:
            pieces = enumerate(load_shard(session, plan, number))
            yield from (piece for index, piece in pieces if index not in result.problems)


def _follows(part: Piece, piece: Piece) -> bool:
    return (part.key, part.etag, part.first + len(part.sha256)) == (piece.key, piece.etag, piece.first)
