"""Deletes versions by rules: the same deletion that a person uses, decided again on the very state that it replaces.

The rules of a model lie in its head, those of the registry in its own document. What an alias names, what it would be
rolled back to, what others are made from and what an instance reports is kept whatever the rules say.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from bucketry.errors import ContendedError, NotFoundError, RejectedError, reason_of
from bucketry.frozen import frozen
from bucketry.registry.core.commit import Change
from bucketry.registry.core.history import load_records
from bucketry.registry.core.registers import (
    AlreadySetError,
    alias_register,
    commit_head,
    commit_settings,
    existing_head,
    load_alias,
    load_existing_head,
)
from bucketry.registry.core.rows import iter_live_rows, load_dossier
from bucketry.registry.serving.aliases import find_row_to_go_back_to
from bucketry.registry.serving.deployments import list_deployments
from bucketry.registry.versions.deletion import delete_version
from bucketry.schema import keys
from bucketry.schema.documents.alias import HISTORY, MOVES, stack_moves
from bucketry.schema.documents.audit import AuditAction, target_version
from bucketry.schema.documents.retention import Retention, read_retention
from bucketry.schema.documents.states import State
from bucketry.schema.judging.retention import Fate, KnownUse, decide_fate

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.core.session import Session
    from bucketry.schema.codec import Document
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.settings import RegistryDocument
    from bucketry.schema.names import AliasName, ModelName

SETTING = "retention"
REASON = "retention rules"
NO_RULES = Retention(delete_after_days=0)
"""What holds where nobody has set anything: nothing is deleted."""


@frozen
class RetentionInForce:
    """The rules that hold for a model, or the registry's: who set them, `model`, `default` or nobody ("")."""

    rules: Retention
    set_by: str


@frozen
class RetentionPlan:
    """What the rules mean for each version of a model that is there, newest first."""

    model: ModelName
    fates: tuple[Fate, ...]

    @property
    def going(self) -> tuple[Fate, ...]:
        """The versions that go, oldest first."""
        return tuple(fate for fate in reversed(self.fates) if not fate.is_kept)


@frozen
class AppliedRetention:
    """What was deleted of a model, its bytes, and which version was refused, with the reason: it stays for now."""

    model: ModelName
    deleted: tuple[Fate, ...]
    refused: tuple[Fate, ...]
    size_bytes: int


def load_retention(session: Session, model: ModelName | None) -> RetentionInForce:
    """Return the rules that hold for a model, or as the default (None); raise `NotFoundError`, `CorruptError`."""
    return _in_force(session, load_existing_head(session, model) if model is not None else None)


def set_retention(session: Session, model: ModelName | None, rules: Retention) -> bool:
    """Make rules hold for a model, or as the default (None); return False where they are set already."""
    session.check_writable()
    document = rules.to_document()
    detail = {name: document[name] for name in ("delete_after_days", "keep_newest")}
    try:
        if model is not None:
            _set_for_model(session, model, document, detail)
        else:
            _set_default(session, document, detail)
    except AlreadySetError:
        return False
    return True


def plan_retention(session: Session, model: ModelName) -> RetentionPlan:
    """Return what the rules that hold for a model mean for each of its versions. It only reads."""
    head = load_existing_head(session, model)
    use = _VersionsInUse(session, model)
    rules = _in_force(session, head).rules
    known, now = use.known(head, rules), session.clock.now()
    fates = [(row, decide_fate(rules, row, known, now)) for row in iter_live_rows(session, head)]
    if not all(fate.is_kept for _, fate in fates):
        reported = _load_reported(session, model)
        fates = [(row, _reconsider(session, head, row, fate, reported)) for row, fate in fates]
    return RetentionPlan(model, tuple(fate for _, fate in fates))


def apply_retention(session: Session, plan: RetentionPlan) -> AppliedRetention:
    """Delete what a plan lets go, as far as the rules and the versions' use still let it; the rest is named."""
    session.check_writable()
    use = _VersionsInUse(session, plan.model)
    deleted: list[Fate] = []
    refused: list[Fate] = []
    size_bytes = 0
    for fate in plan.going:
        try:
            done = delete_version(session, plan.model, fate.version, reason=REASON, check=_checking(session, use))
        except NotFoundError:
            continue  # another deleted it meanwhile
        except (RejectedError, ContendedError) as error:
            refused.append(Fate(fate.version, is_kept=True, why=reason_of(error)))
            continue
        deleted.append(fate)
        size_bytes += done.size_bytes
    return AppliedRetention(plan.model, tuple(deleted), tuple(refused), size_bytes)


def _checking(session: Session, use: _VersionsInUse) -> Callable[[Head, Row], None]:
    """Return what decides again, in the edit that begins a deletion, on the head that it replaces."""

    def check(head: Head, row: Row) -> None:
        rules = _in_force(session, head).rules
        fate = decide_fate(rules, row, use.known(head, rules), session.clock.now())
        if fate.is_kept:
            raise RejectedError(f"version {row.version} is kept by now: {fate.why}", advice="plan again")

    return check


def _in_force(session: Session, head: Head | None) -> RetentionInForce:
    if head is not None and head.retention is not None:
        own = read_retention(head.retention, what=f"{keys.head(head.model)}: {SETTING}")
        return RetentionInForce(own or NO_RULES, "model")
    default = read_retention(session.registry.settings.get(SETTING), what=f"{keys.REGISTRY}: {SETTING}")
    return RetentionInForce(default or NO_RULES, "default" if default else "")


def _set_for_model(session: Session, model: ModelName, document: Document, detail: Document) -> None:
    def edit(old: Head | None) -> Change[Head]:
        head = existing_head(session, model, old)
        if head.retention == document:
            raise AlreadySetError(head.generation)
        return Change(replace(head, retention=document), AuditAction.SET_RETENTION, detail=detail)

    commit_head(session, model, edit)


def _set_default(session: Session, document: Document, detail: Document) -> None:
    def edit(old: RegistryDocument) -> Change[RegistryDocument]:
        if old.settings.get(SETTING) == document:
            raise AlreadySetError(old.trail.generation)
        changed = replace(old, settings={**old.settings, SETTING: document})
        return Change(changed, AuditAction.SET_RETENTION, detail=detail)

    commit_settings(session, edit)


@frozen
class _NamedByAlias:
    """What an alias names, at one generation of it, what it named on the way there, and whatever it ever named."""

    generation: int
    target: int | None
    earlier: tuple[int, ...]
    ever: frozenset[int]


@dataclass(slots=True)
class _VersionsInUse:
    """What aliases say of a model's versions; the history of each is read once for each of its generations."""

    session: Session
    model: ModelName
    histories: dict[AliasName, _NamedByAlias] = field(default_factory=dict)

    def known(self, head: Head, rules: Retention) -> KnownUse:
        """Return what is known by a head, and by the aliases as they are now."""
        needed: dict[int, str] = {}
        promoted: set[int] = set()
        for alias in head.aliases:
            named = self._named(alias)
            if named is None:
                continue
            promoted |= named.ever
            back = find_row_to_go_back_to(self.session, head, named.earlier, named.target)
            if back is not None:
                needed.setdefault(back.version, f"{alias} would be rolled back to it")
            if named.target is not None:
                needed[named.target] = f"{alias} names it"
        staying = (row for row in iter_live_rows(self.session, head) if row.state is not State.DELETING)
        newest = islice(staying, rules.keep_newest)
        return KnownUse(needed, frozenset(row.version for row in newest), frozenset(promoted))

    def _named(self, alias: AliasName) -> _NamedByAlias | None:
        register = load_alias(self.session, self.model, alias).state
        if register is None:
            return None
        known = self.histories.get(alias)
        if known is None or known.generation != register.generation:
            records = load_records(self.session, alias_register(self.session, self.model, alias), register.trail)
            ever = (target_version(record, what=HISTORY) for record in records if record.action in MOVES)
            known = _NamedByAlias(
                register.generation,
                register.target.version if register.target is not None else None,
                stack_moves(records).now.earlier,
                frozenset(version for version in ever if version is not None),
            )
            self.histories[alias] = known
        return known


def _load_reported(session: Session, model: ModelName) -> dict[int, str]:
    """Return which versions instances report, and one that does, for each."""
    found: dict[int, str] = {}
    for item in list_deployments(session, model).observed:
        told = item.deployment
        if told is not None:
            found.setdefault(told.version, f"{told.place.environment}/{told.place.instance}")
    return found


def _reconsider(session: Session, head: Head, row: Row, fate: Fate, reported: dict[int, str]) -> Fate:
    """Return the fate of a version; where the rules let it go, after those were asked whose word costs a read."""
    if fate.is_kept:
        return fate
    if row.version in reported:
        return Fate(row.version, is_kept=True, why=f"{reported[row.version]} reports that it serves it")
    dependents = load_dossier(session, head, row).dependents
    if dependents:
        names = ", ".join(sorted(str(pin.model) for pin in dependents))
        return Fate(row.version, is_kept=True, why=f"versions of {names} are made from it")
    return fate
