"""Frees the blobs of one model that nobody needs, beside publishers, promoters and other collections.

A blob may go that one state of the head does not mark and that lies under an older epoch than that state has. No row
that is committed on that head or on any later one can place a blob there: it may name only blobs under the epoch of the
head that it replaces, or those that a live row of that head names. So the order of reads, clocks and crashes do not
matter, and whoever needs no such state commits none: the epoch is raised only where garbage lies under the newest one.
Then it is marked again from the head with the raised epoch, unless that replaced the very state that was marked from.

The grace only saves work and readers: a version that is deleted while it is pulled stays for so long.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bucketry.clock import format_time
from bucketry.frozen import frozen
from bucketry.maintenance.gc.garbage import Garbage, GarbageReason, Total
from bucketry.maintenance.gc.marks import Marks, iter_placed, load_marks
from bucketry.registry.core.commit import Change, Current, FirstAttempt
from bucketry.registry.core.history import iter_records_back
from bucketry.registry.core.registers import AlreadyDoneError, ensure_head, head_register, load_head
from bucketry.registry.core.rows import load_dossier
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.head import Head

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from bucketry.maintenance.gc.marks import Place
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.pages import PlacedRow
    from bucketry.schema.names import ModelName
    from bucketry.store.contract import Entry

DELETED_AT_ONCE = 1_000


@frozen
class ModelPlan:
    """Which of a model's blobs may go, by one state of its head.

    `waiting` is what nobody needs and stays all the same: younger than the grace, of a version that was deleted since,
    or under an epoch that the head does not have yet. `state` stands for the listing of all that is needed.
    `is_clean`: once what is `due` is freed, nothing else is left.
    """

    model: ModelName
    base: Current[Head]
    marks: Marks
    due: Mapping[Place, Garbage]
    waiting: Total
    state: str
    is_clean: bool


@frozen
class FreedModel:
    """What was freed of a model, and the ETag of the head by which what is left is needed; "" where nobody knows."""

    freed: tuple[Garbage, ...]
    etag: str


@dataclass(slots=True)
class ListedState:
    """A name for what a listing says of a model's blobs: 64 bits of the digest of keys, sizes and ETags."""

    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, entry: Entry) -> None:
        """Take the next entry, in the order of the listing."""
        self._digest.update(f"{entry.key} {entry.size_bytes} {entry.etag}\n".encode())

    @property
    def name(self) -> str:
        """The name as it is now."""
        return self._digest.hexdigest()[:16]


def plan_model(session: Session, model: ModelName, entries: Iterable[Entry], oldest: datetime) -> ModelPlan:
    """Return which of the listed blobs may go: no live version needs them, and all about them happened before `oldest`.

    Raises where the head, a row, a manifest or an audit record cannot be read: then nobody knows what is needed.
    """
    base = load_head(session, model)
    head = base.state or Head(session.registry.registry, model)
    marks = load_marks(session, head)
    state = ListedState()
    unmarked: dict[Place, Entry] = {}
    for entry in entries:
        place = keys.find_blob_place(model, entry.key)
        if place is None or place in marks:  # what is no key of ours is not ours to free: fsck names it
            state.add(entry)
        else:
            unmarked[place] = entry
    told = _tell_deleted(session, head, marks.deleted, unmarked, oldest) if unmarked else {}
    due: dict[Place, Garbage] = {}
    waiting = Total()
    is_clean = marks.by_rows_alone
    for place, entry in unmarked.items():
        version, is_held = told.get(place, (None, False))
        if is_held or entry.modified_at >= oldest or place[0] > head.epoch:
            waiting.add(entry.size_bytes)
            is_clean = False
            continue
        reason = GarbageReason.ORPHAN if version is None else GarbageReason.DELETED_VERSION
        due[place] = Garbage(entry.key, entry.size_bytes, reason, entry.modified_at, str(model), version)
    return ModelPlan(model, base, marks, due, waiting, state.name, is_clean)


def free_model(session: Session, plan: ModelPlan) -> FreedModel:
    """Free what is due, as far as nobody needs it by then either."""
    model, etag = plan.model, plan.base.etag or ""
    head, marks = plan.base.state or Head(session.registry.registry, model), plan.marks
    if any(epoch == head.epoch for epoch, _ in plan.due):
        fenced = _raise_epoch(session, plan.base, model)
        is_same = fenced.generation == head.generation + 1  # nothing was committed in between but a later epoch
        marks = plan.marks if is_same else load_marks(session, fenced)
        after = load_head(session, model)
        is_newest = after.state is not None and after.state.generation == fenced.generation
        head, etag = fenced, (after.etag or "") if is_same and is_newest else ""
    going = [garbage for place, garbage in plan.due.items() if place not in marks and place[0] < head.epoch]
    for start in range(0, len(going), DELETED_AT_ONCE):
        some = going[start : start + DELETED_AT_ONCE]
        session.map_in_parallel(lambda garbage: session.store.delete(garbage.key), some)
    return FreedModel(tuple(going), etag if plan.is_clean and len(going) == len(plan.due) else "")


def _raise_epoch(session: Session, base: Current[Head], model: ModelName) -> Head:
    """Commit a later epoch, unless another has since the base, and return the head as it is then."""
    before = base.state.epoch if base.state is not None else 1

    def edit(old: Head | None) -> Change[Head]:
        head = old or Head(session.registry.registry, model)
        if head.epoch > before:
            raise AlreadyDoneError(head)  # another collection came by, or a pin was dropped
        return Change(replace(head, epoch=head.epoch + 1), AuditAction.RAISE_EPOCH)

    return ensure_head(session, model, edit, first=FirstAttempt(base, edit(base.state)))


def _tell_deleted(
    session: Session, head: Head, deleted: list[PlacedRow], unmarked: dict[Place, Entry], oldest: datetime
) -> dict[Place, tuple[int, bool]]:
    """Say of which deleted version each unmarked blob was, and whether that holds it still.

    A version holds its blobs that was deleted since `oldest`, and one that others are made from: no deletion leaves
    such a version behind, and no collection makes more of it.
    """
    lately = _deleted_since(session, head, oldest)
    told: dict[Place, tuple[int, bool]] = {}
    for row, blobs in iter_placed(session, head.model, deleted):
        ours = [(epoch, sha256) for epoch, sha256, _ in blobs if (epoch, sha256) in unmarked]
        if not ours:
            continue
        is_held = row.version in lately or bool(load_dossier(session, head, row).dependents)
        for place in ours:
            told[place] = (row.version, is_held or told.get(place, (0, False))[1])
    return told


def _deleted_since(session: Session, head: Head, oldest: datetime) -> frozenset[int]:
    """Return the versions that were deleted since, by the audit records: their moments are those of the deleters."""
    since, found = format_time(oldest), []
    for record in iter_records_back(session, head_register(session, head.model), head.trail):
        if record.at < since:
            break
        if record.action == AuditAction.DELETE:
            found.append(record.target)
    return frozenset(int(target) for target in found if target.isdecimal())
