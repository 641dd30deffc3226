"""Checks that each base of a live version is there and cannot go, and that every pin holds a version back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE
from bucketry.frozen import frozen
from bucketry.maintenance.fsck.cited import read_dossier
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.maintenance.fsck.reading import report
from bucketry.registry.core.registers import load_head
from bucketry.registry.core.rows import find_row
from bucketry.registry.versions.pins import find_children
from bucketry.schema import keys
from bucketry.schema.documents.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.maintenance.fsck.findings import Findings
    from bucketry.maintenance.fsck.registers import ModelRegisters
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.dossier import Dossier
    from bucketry.schema.documents.head import Row
    from bucketry.schema.documents.manifest import Parent
    from bucketry.schema.documents.replica import Selection
    from bucketry.schema.names import Digest, ModelName


class BaseCheck:
    """The bases of one model's live versions, each looked at once in a pass."""

    def __init__(
        self, session: Session, model: ModelName, registers: ModelRegisters, selection: Selection, findings: Findings
    ) -> None:
        self._session = session
        self._model = model
        self._selection = selection
        self._registers = registers
        self._findings = findings
        self._problems: dict[tuple[ModelName, int, Digest], tuple[Kind, str] | None] = {}

    def check(self, row: Row, parent: Parent, own_rows: Mapping[int, Row]) -> None:
        """Check that a live version's base is there and cannot go, unless its model need not be here."""
        if not self._selection.holds_model(parent.model):
            return
        base = (parent.model, parent.version, parent.manifest)
        if base not in self._problems:
            self._problems[base] = self._find_problem(parent, own_rows)
        problem = self._problems[base]
        if problem is not None:
            kind, words = problem
            who = f"Version {row.version} is made from {parent.model}:{parent.version}"
            self._findings.add(kind, keys.head(self._model), f"{who}, {words}.")

    def _find_problem(self, parent: Parent, own_rows: Mapping[int, Row]) -> tuple[Kind, str] | None:
        head = self._registers.find_head(parent.model)
        if head is None:
            return Kind.BASE_LOST, "a model whose head cannot be read"
        row = own_rows.get(parent.version) if head.model == self._model else None
        if row is None:
            with suppress(*UNREADABLE):
                row = find_row(self._session, head, parent.version)
        if row is None or row.manifest != parent.manifest:
            return Kind.BASE_LOST, "which is not there"
        if row.state is State.DELETED:
            return Kind.BASE_LOST, "which is deleted"
        unpinned = Kind.BASE_NOT_PINNED, "which has no pin that keeps it from being deleted"
        if row.dossier is None:
            return unpinned
        read = read_dossier(self._session.store, parent.model, row.dossier)
        what = f"the dossier of {parent.model}:{parent.version}"
        dossier = report(self._findings, Kind.DOSSIER_LOST, keys.page(parent.model, row.dossier), what, read)
        return None if dossier is None or any(pin.model == self._model for pin in dossier.dependents) else unpinned


@frozen
class LivePin:
    """A pin of a live version: which model's version is held back for which other model."""

    model: ModelName
    version: int
    manifest: Digest
    dossier: Digest
    child: ModelName


@dataclass(slots=True)
class PinLedger:
    """The pins and the live children that a whole check saw.

    `heads` is the next version of each model that was checked whole: what is younger, the check did not see.
    """

    pins: list[LivePin] = field(default_factory=list)
    children: set[tuple[ModelName, Digest]] = field(default_factory=set)
    heads: dict[ModelName, int] = field(default_factory=dict)

    def add_row(self, model: ModelName, row: Row, dossier: Dossier) -> None:
        """Note the pins of a version that is not deleted."""
        if row.state is not State.DELETED and row.dossier is not None:
            self.pins.extend(
                LivePin(model, row.version, row.manifest, row.dossier, pin.model) for pin in dossier.dependents
            )

    def extend(self, other: PinLedger) -> None:
        """Add what the check of another model saw."""
        self.pins.extend(other.pins)
        self.children |= other.children
        self.heads.update(other.heads)

    def find_garbage(self, session: Session, selection: Selection, findings: Findings) -> None:
        """Report every pin behind which there is no live version: that of a publish which never came, or is coming."""
        for pin in self.pins:
            is_known = (pin.child, pin.manifest) in self.children or not selection.holds_model(pin.child)
            if not is_known and not self._has_child_now(session, pin):
                findings.add(
                    Kind.PIN_WITHOUT_CHILD,
                    keys.page(pin.model, pin.dossier),
                    f"{pin.child} pins version {pin.version} of {pin.model} and has no live version made from it.",
                    model=pin.model,
                    version=pin.version,
                )

    def _has_child_now(self, session: Session, pin: LivePin) -> bool:
        """Look again: the child's model may have been checked before its base, or not at all.

        A model that has no version that the check did not see is not read a second time.
        """
        try:
            head = load_head(session, pin.child).state
            if head is None:
                return False
            if self.heads.get(pin.child) == head.next_version:
                return False
            return bool(find_children(session, head, pin.manifest))
        except UNREADABLE:
            return True  # whoever cannot be read may have one; that is reported with that model
