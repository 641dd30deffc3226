"""A garbage collection over a registry: one listing of all blobs, and a walk through each model in which any changed.

To plan and to apply are the same walk; a plan only frees nothing. Nothing of one model lies in memory while the next is
walked but its totals, and of what may go the first thousand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, ContendedError, DeniedError, reason_of
from bucketry.frozen import frozen
from bucketry.maintenance.gc.garbage import Garbage, Total
from bucketry.maintenance.gc.kinds import BLOB_GRACE_SECONDS, KINDS, CollectedKind
from bucketry.maintenance.gc.listing import iter_model_blobs
from bucketry.maintenance.gc.model import ListedState, free_model, plan_model
from bucketry.maintenance.gc.passes import CleanModels, load_clean_models, save_clean_models
from bucketry.registry.core.session import DocumentCache
from bucketry.schema import keys
from bucketry.store.contract import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bucketry.maintenance.gc.garbage import GarbageReason
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import ModelName

MOST_NAMED = 1_000
KEPT_DOCUMENT_BYTES = 8 * 1024 * 1024

ALL_AGES = datetime.max.replace(tzinfo=UTC)
Progress = Callable[[int, int], None]
"""Hears how many models are done, and how many there are."""


@frozen
class Asked:
    """What to collect: blobs of which all is older than `grace_seconds`; of `models` by a glob, else everything.

    What living processes may still be at waits for a week, or for the grace if that is longer. `is_full` walks those
    models as well that the last collection left clean and that have not changed since.
    """

    grace_seconds: float = BLOB_GRACE_SECONDS
    is_full: bool = False
    models: str = ""


EVERYTHING = Asked()


@frozen
class LeftAlone:
    """A model of which nothing was freed, and why: nobody can say what it needs, or others kept changing it."""

    model: str
    reason: str
    is_damaged: bool


@frozen
class CollectionReport:
    """What a collection freed, or would free. `found` are the first thousand; `totals` are by model and reason.

    `waiting` is what nobody needs and stays for its grace. Of the `models` with blobs so many were `walked`.
    """

    applied: bool
    found: tuple[Garbage, ...]
    totals: Mapping[tuple[str, GarbageReason], Total]
    waiting: Total
    left_alone: tuple[LeftAlone, ...]
    models: int
    walked: int

    @property
    def total(self) -> Total:
        """All of it together."""
        total = Total()
        for each in self.totals.values():
            total.include(each)
        return total

    @property
    def by_reason(self) -> dict[GarbageReason, Total]:
        """All of it by why it goes."""
        found: dict[GarbageReason, Total] = defaultdict(Total)
        for (_, reason), total in self.totals.items():
            found[reason].include(total)
        return dict(sorted(found.items()))

    @property
    def largest(self) -> list[tuple[tuple[str, GarbageReason], Total]]:
        """The thousand largest totals of a model and a reason, the largest first."""
        return sorted(self.totals.items(), key=lambda item: (-item[1].size_bytes, item[0]))[:MOST_NAMED]


def plan_collection(session: Session, asked: Asked = EVERYTHING, progress: Progress | None = None) -> CollectionReport:
    """Return what a collection would free now. It only reads."""
    return _Walk(session, asked, frees=False).run(progress)


def apply_collection(session: Session, asked: Asked = EVERYTHING, progress: Progress | None = None) -> CollectionReport:
    """Free what nobody needs; killed at any moment, it is finished by another one."""
    session.check_writable()
    return _Walk(session, asked, frees=True).run(progress)


@dataclass(slots=True)
class _Walk:
    session: Session
    asked: Asked
    frees: bool
    found: list[Garbage] = field(default_factory=list)
    totals: dict[tuple[str, GarbageReason], Total] = field(default_factory=lambda: defaultdict(Total))
    waiting: Total = field(default_factory=Total)
    left_alone: list[LeftAlone] = field(default_factory=list)
    clean: CleanModels = field(default_factory=CleanModels)
    models: int = 0
    walked: int = 0

    def run(self, progress: Progress | None) -> CollectionReport:
        # What is read for one model is of no use for the next, and a walk must not fill the memory.
        self.session = replace(self.session, documents=DocumentCache(KEPT_DOCUMENT_BYTES))
        store = self.session.store
        now = store.get(keys.REGISTRY).served_at  # the clock that also says when an object was written
        is_whole = not self.asked.models
        self.clean = load_clean_models(self.session)
        etags = {entry.key: entry.etag for entry in store.list(keys.HEADS) if isinstance(entry, Entry)}
        oldest = _oldest(now, self.asked.grace_seconds)
        for model, entries in iter_model_blobs(store, self.asked.models):
            if progress is not None:
                progress(self.models, max(len(etags), self.models))
            self.models += 1
            self._walk_model(model, entries, etags.get(keys.head(model)), oldest)
        for kind in KINDS if is_whole else ():
            self._collect_kind(kind, now)
        if self.frees and is_whole:
            save_clean_models(self.session, self.clean)
        return CollectionReport(
            self.frees,
            tuple(self.found),
            dict(self.totals),
            self.waiting,
            tuple(self.left_alone),
            self.models,
            self.walked,
        )

    def _walk_model(self, model: ModelName, entries: Iterable[Entry], etag: str | None, oldest: datetime) -> None:
        known = "" if self.asked.is_full else self.clean.find_state(model, etag)
        if known and etag:
            listed = ListedState()
            for entry in entries:
                listed.add(entry)
            if listed.name == known:
                self.clean.add(model, etag, known)
                return
            entries = (entry for entry in self.session.store.list(keys.blobs(model)) if isinstance(entry, Entry))
        self.walked += 1
        try:
            plan = plan_model(self.session, model, entries, oldest)
            self.waiting.include(plan.waiting)
            if not self.frees:
                self._count(plan.due.values())
                return
            done = free_model(self.session, plan)
        except DeniedError:
            raise  # the next model would be denied as well
        except (*UNREADABLE, ContendedError) as error:
            self.left_alone.append(LeftAlone(str(model), reason_of(error), isinstance(error, UNREADABLE)))
            return
        self._count(done.freed)
        if done.etag:
            self.clean.add(model, done.etag, plan.state)

    def _collect_kind(self, kind: CollectedKind, now: datetime) -> None:
        oldest = _oldest(now, max(kind.grace_seconds, self.asked.grace_seconds))
        for garbage in list(kind.find(self.session)) if self.frees else kind.find(self.session):
            if garbage.modified_at >= oldest:
                self.waiting.add(garbage.size_bytes)
            elif not self.frees or kind.free(self.session, garbage):
                self._count([garbage])

    def _count(self, found: Iterable[Garbage]) -> None:
        for garbage in found:
            self.totals[garbage.model, garbage.reason].add(garbage.size_bytes)
            if len(self.found) < MOST_NAMED:
                self.found.append(garbage)


def _oldest(now: datetime, seconds: float) -> datetime:
    """Return the moment since which nothing may have happened to what goes; without any grace there is none."""
    return now - timedelta(seconds=seconds) if seconds else ALL_AGES
