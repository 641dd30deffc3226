"""Makes a place a replica of a registry, or brings a replica up to date.

What nobody changes is written first, each model's registers last, by compare-and-swap, and never one of a generation
below what is there. So a replica is a legal state of the registry at every moment: a mirror may be killed anywhere, run
again, or run twice at once. Registers that neither side moved since the last mirror are not read: a registry that did
not change costs a listing of its registers on each side.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, BucketryError, ContendedError, CorruptError, NotFoundError
from bucketry.frozen import frozen
from bucketry.maintenance.mirror.carry import Carrier, CopyFiles, Holdings, copying_by
from bucketry.maintenance.mirror.cut import Cut, find_cut, load_cut, settle
from bucketry.maintenance.mirror.ledger import Ledger
from bucketry.maintenance.mirror.marker import Marker
from bucketry.maintenance.mirror.prune import find_freed
from bucketry.maintenance.mirror.reach import Reach
from bucketry.maintenance.mirror.receipts import mirror_receipts
from bucketry.maintenance.mirror.survey import survey
from bucketry.registry.publishing.blobs import end_abandoned_uploads
from bucketry.schema.documents.replica import Selection
from bucketry.schema.documents.states import State
from bucketry.transfer.plan import TransferOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bucketry.maintenance.mirror.cut import HeldRegister
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import ModelName

    Waiting = Mapping[ModelName, str]
    """Models that are brought after others, and why: `for parents` or `for dependents`."""

MODELS_AT_ONCE = 64
MOST_TRIES = 3
"""So often a model is begun again whose files were freed at the source while they were copied."""
MOST_ROUNDS = 10
"""So often models are looked at again that are made from each other."""
_FAILURES = (*UNREADABLE, NotFoundError, ContendedError)
"""What is wrong with one model, and nothing with the others. A store that is away ends the whole mirror."""


@frozen
class MirrorOptions:
    """What is mirrored, and how.

    With `dry_run` nothing is written. With `full` also what did not move is walked, so that what the replica lost comes
    back. With `prune` files are removed that the source has freed. With `read` all bytes pass through here and are
    verified, also where the store could copy by itself.
    """

    selection: Selection = field(default_factory=Selection)
    dry_run: bool = False
    full: bool = False
    read: bool = False
    prune: bool = False
    transfer: TransferOptions = field(default_factory=TransferOptions)
    copy_files: CopyFiles | None = None
    on_check: Callable[[int, int], None] | None = None
    on_models: Callable[[int, int], None] | None = None


@frozen
class MirrorFailure:
    """A model that could not be brought, or a register that is wrong, and why. Its replica is as it was."""

    what: str
    error: BucketryError


@frozen
class MirrorReport:
    """What was done, or would be.

    `registers` were written; `skipped_objects` were looked at and there already; `unverified_objects` the store copied
    by itself. `complete` says whether the replica now has all that it is to hold.
    """

    registry: str
    selection: Selection
    models: int = 0
    registers: int = 0
    copied_objects: int = 0
    copied_bytes: int = 0
    skipped_objects: int = 0
    unverified_objects: int = 0
    pruned_objects: int = 0
    pruned_bytes: int = 0
    complete: bool = False
    failures: tuple[MirrorFailure, ...] = ()


def mirror(source: Session, target: Session, options: MirrorOptions | None = None) -> MirrorReport:
    """Bring a replica up to date, or make one; what is wrong with single models is reported, and the others go on.

    Raises `RejectedError` for a target that is no replica of this registry, `UnsupportedError` for one that breaks its
    promises, `UnavailableError` when a store is away: what was brought stays, and the next mirror goes on.
    """
    options = options or MirrorOptions()
    target.check_not_read_only()
    marker = Marker(source, target, options.selection)
    ledger = Ledger(target.store, _identity(source), marker.selection, target.clock)
    ledger.load()
    carrier = Carrier(
        source,
        target,
        copy_files=options.copy_files or copying_by(options.transfer),
        acts=not options.dry_run,
        is_new=marker.is_new,
        by_store=not options.read and _is_one_store(source, target),
    )
    if carrier.acts:
        marker.begin(carrier, options.on_check, full=options.full)
    found = survey(source, target.store, ledger, marker.selection, full=options.full)
    work = _Mirror(carrier, ledger, marker.selection, is_full=options.full)
    work.failures.extend(_failure_of_lost(key) for key in found.lost)
    work.bring_all(sorted(found.models, key=str), options.on_models or (lambda done, total: None))  # noqa: ARG005
    if options.prune:
        work.prune()
    mirror_receipts(carrier, ledger, found)
    complete = marker.replica is not None and marker.replica.complete
    if carrier.acts:
        ledger.save()
        complete = not work.failures and marker.finish()
    return MirrorReport(
        registry=marker.ours.state.registry,
        selection=marker.selection,
        models=len(found.models),
        registers=work.registers,
        copied_objects=carrier.carried.objects,
        copied_bytes=carrier.carried.size_bytes,
        skipped_objects=carrier.carried.skipped + found.unchanged,
        unverified_objects=carrier.carried.unverified,
        pruned_objects=work.pruned_objects,
        pruned_bytes=work.pruned_bytes,
        complete=complete,
        failures=tuple(work.failures),
    )


@dataclass(slots=True)
class _Plan:
    """A model on its way: its registers at the source, those of the replica, and when the first were read."""

    cut: Cut
    before: Cut | None
    parents: frozenset[ModelName]
    dependents: frozenset[ModelName]
    read_at: int


@dataclass(slots=True)
class _Mirror:
    """The models of one mirror. `again` are those to be looked at once more, since others needed them meanwhile."""

    carrier: Carrier
    ledger: Ledger
    selection: Selection
    is_full: bool
    registers: int = 0
    pruned_objects: int = 0
    pruned_bytes: int = 0
    failures: list[MirrorFailure] = field(default_factory=list)
    _again: set[ModelName] = field(default_factory=set)
    _planned: set[ModelName] = field(default_factory=set)
    _settled: dict[ModelName, int] = field(default_factory=dict)
    _moments: itertools.count[int] = field(default_factory=itertools.count)

    def bring_all(self, models: Sequence[ModelName], on_models: Callable[[int, int], None]) -> None:
        """Bring all models, some at once."""
        on_models(0, len(models))
        for start in range(0, len(models), MODELS_AT_ONCE):
            self._bring(models[start : start + MODELS_AT_ONCE], {})
            on_models(min(len(models), start + MODELS_AT_ONCE), len(models))
            if self.carrier.acts:
                self.ledger.save_if_due()
        for _ in range(MOST_ROUNDS):
            left, self._again = sorted(self._again, key=str), set()
            if not left:
                return
            self._bring(left, {})
        moved = ContendedError("the models that it relies on kept moving while it was read", advice="run it again")
        self.failures.extend(MirrorFailure(str(model), moved) for model in sorted(self._again, key=str))

    def prune(self) -> None:
        """Remove what the source has freed of the models that were brought, and uploads that nobody went on with."""
        source, target = self.carrier.source, self.carrier.target
        for model in sorted(self._settled, key=str):
            freed = find_freed(source, target, model)
            self.pruned_objects += len(freed)
            self.pruned_bytes += sum(entry.size_bytes for entry in freed)
            if self.carrier.acts:
                target.map_in_parallel(lambda entry: target.store.delete(entry.key), freed)
                end_abandoned_uploads(target, model)

    def _bring(self, models: Sequence[ModelName], waiting: Waiting) -> None:
        """Bring some models; `waiting` are those that are brought after them."""
        plans = self._walk(models)
        if plans is None:
            for model in models:
                self._bring_alone(model, waiting)
            return
        self._settle_all([plan for plan in plans if self._bring_kin(plan, waiting)])

    def _bring_alone(self, model: ModelName, waiting: Waiting) -> None:
        for number in range(1, MOST_TRIES + 1):
            try:
                plan = self._plan(model)
                self.carrier.copy_pending()
            except _FAILURES as error:
                self.carrier.forget_pending()
                if number == MOST_TRIES:
                    self.failures.append(MirrorFailure(str(model), error))
            else:
                self._settle_all([plan] if self._bring_kin(plan, waiting) else [])
                return

    def _walk(self, models: Sequence[ModelName]) -> list[_Plan] | None:
        """Bring what the registers of these models name; None where that fails for one of them."""
        try:
            plans = self.carrier.source.map_in_parallel(self._plan, models)
            self.carrier.copy_pending()
        except _FAILURES:
            self.carrier.forget_pending()
            return None
        return plans

    def _plan(self, model: ModelName) -> _Plan:
        read_at = next(self._moments)
        cut = load_cut(self.carrier.source, model)
        is_new = self.carrier.is_new and model not in self._planned
        self._planned.add(model)
        before = None if is_new else find_cut(self.carrier.target, model)
        there = Holdings(self.carrier.target, model, is_new=is_new)
        reach = Reach(self.carrier, self.selection, cut, self._trusted(before), there)
        reach.bring()
        parents, dependents = (
            frozenset(other for other in found if self.selection.holds_model(other))
            for found in (reach.parents, reach.dependents)
        )
        return _Plan(cut, before, parents, dependents, read_at)

    def _trusted(self, before: Cut | None) -> Cut | None:
        """Return the replica's registers of which it is known that all they name was brought, for this selection."""
        if before is None or self.is_full or not self._is_trusted(before.head):
            return None
        return Cut(before.model, before.head, tuple(held for held in before.aliases if self._is_trusted(held)))

    def _is_trusted(self, held: HeldRegister) -> bool:
        return self.ledger.is_trusted(held.key, held.etag)

    def _bring_kin(self, plan: _Plan, waiting: Waiting) -> bool:
        """Bring first the models that this one relies on, as they were when it was read or later.

        A base is in the replica before what is made from it, and what was made from a version leaves before that is
        given up, as far as both can be had: the first comes first. Return whether this model may follow now; one that
        waits for a model which waits for it is brought again at the end.
        """
        if not self.carrier.acts:
            return True
        model = plan.cut.model
        parents, dependents = self._older(plan.parents, plan), self._older(plan.dependents - plan.parents, plan)
        self._again.update(other for other in (*parents, *dependents) if other in waiting)
        if any(waiting.get(other) == "for dependents" for other in parents):
            self._again.add(model)
            return False
        for needed, why in ((dependents, "for dependents"), (parents, "for parents")):
            others = [other for other in needed if other not in waiting]
            if others:
                self._bring(others, {**waiting, model: why})
        missing = [other for other in self._older(plan.parents, plan) if other not in waiting]
        if any(other in self._again for other in missing):
            self._again.add(model)
        elif missing:
            told = f"{model} relies on {', '.join(map(str, missing))}, which could not be brought"
            self.failures.append(MirrorFailure(str(model), CorruptError(told)))
        return not missing

    def _older(self, models: Iterable[ModelName], plan: _Plan) -> list[ModelName]:
        """Return those of which the replica has no state that was read after this plan."""
        return sorted((one for one in models if self._settled.get(one, -1) < plan.read_at), key=str)

    def _settle_all(self, plans: Sequence[_Plan]) -> None:
        self.registers += sum(self.carrier.source.map_in_parallel(self._settle, plans))

    def _settle(self, plan: _Plan) -> int:
        """Replace the replica's registers of one model; return how many were, or would be."""
        before = {held.key: held for held in plan.before.registers} if plan.before else {}
        count = 0
        try:
            for held in _in_order(plan.cut, plan.before):
                count += self._settle_one(held, before.get(held.key))
        except _FAILURES as error:
            self.failures.append(MirrorFailure(str(plan.cut.model), error))
        else:
            self._settled[plan.cut.model] = plan.read_at
        return count

    def _settle_one(self, held: HeldRegister, there: HeldRegister | None) -> int:
        if there is not None and there.body == held.body:
            self.ledger.note(held.key, held.etag, there.etag)
            self.carrier.count_skipped(1)
            return 0
        if not self.carrier.acts:
            return 1
        settled = settle(self.carrier.source, self.carrier.target.store, held, there)
        if settled.etag is not None:
            self.ledger.note(held.key, held.etag, settled.etag)
        return int(settled.was_written)


def _in_order(cut: Cut, before: Cut | None) -> list[HeldRegister]:
    """Return the registers in the order in which they are replaced: the head, and then the aliases.

    An alias that the replica still has at a version which the head gives up leaves it first, if where it goes is known
    to the replica's head as it is.
    """
    first: list[HeldRegister] = []
    for held in cut.aliases:
        old = before.find_alias(held.state.alias) if before else None
        if before is None or old is None or old.target is None or held.state.target is None:
            continue
        left, known = cut.state.find_row(old.target.version), before.state.find_row(held.state.target.version)
        is_given_up = left is not None and left.state is State.DELETED
        if is_given_up and known is not None and known == cut.state.find_row(known.version):
            first.append(held)
    return [*first, *(held for held in cut.registers if held not in first)]


def _identity(session: Session) -> str:
    return f"{session.store.endpoint} {session.store.name}"


def _is_one_store(source: Session, target: Session) -> bool:
    ours, theirs = source.store.unretried, target.store.unretried
    return type(ours) is type(theirs) and ours.endpoint == theirs.endpoint


def _failure_of_lost(key: str) -> MirrorFailure:
    return MirrorFailure(
        key,
        CorruptError(
            f"{key} is in the replica and not in the source, which lost it",
            advice="run `bucketry fsck` at the source; the replica was left as it is",
        ),
    )
