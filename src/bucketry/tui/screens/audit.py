"""Who did what, to one model or to all, and is the story whole?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bucketry.registry.auditing import AuditEntry, load_audit, load_registry_audit
from bucketry.registry.index_views import list_models_by, load_model_lines
from bucketry.registry.notes import load_reason
from bucketry.tui.columns import Column
from bucketry.tui.commands import Command
from bucketry.tui.figures import count_of, shown_time
from bucketry.tui.paint import Line, Span, line
from bucketry.tui.screens.reading import ReadListView
from bucketry.tui.textlines import wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from bucketry.registry.auditing import Audit, Fault
    from bucketry.registry.session import Session
    from bucketry.schema.names import ModelName
    from bucketry.tui.app import BucketryApp

MOST_MODELS = 50
"""The whole trails of so many models are read at once, those first that changed last."""
MOST_LONG_REASONS = 100
"""Reasons that lie in a document of their own, of which so many are read with the list."""


@dataclass(frozen=True, slots=True)
class Event:
    """One record of a model (of the registry itself where `model` is None); `reason` is the one that it gives."""

    model: ModelName | None
    entry: AuditEntry
    reason: str


class AuditView(ReadListView[Event]):
    """The records, newest first."""

    def __init__(self, shell: BucketryApp, model: ModelName | None = None) -> None:
        self.model = model
        self._faults: tuple[Fault, ...] = ()
        self._chains = 0
        self._left_out = 0
        super().__init__(shell)

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Where this is."""
        return (str(self.model), "audit") if self.model else ("audit",)

    @property
    def words(self) -> tuple[str, ...]:
        """The command that shows the same of one model."""
        return ("audit", str(self.model)) if self.model else ("audit",)

    @property
    def summary(self) -> Line:
        """Whether every chain holds, in words."""
        if self._faults:
            more = f" (and {len(self._faults) - 1} more)" if len(self._faults) > 1 else ""
            return (Span(f"BROKEN: {self._faults[0]}{more}", "bad"),)
        whole = f"whole: {count_of(len(self.items), 'record')} in {count_of(self._chains, 'chain')}, each follows its last"
        left = f"; {count_of(self._left_out, 'older model')} not read" if self._left_out else ""
        return (Span(whole + left, "good"),)

    @property
    def sort_values(self) -> Mapping[str, Callable[[Event], Any]]:
        """What the columns sort by."""
        return {
            "at": lambda row: row.entry.record.at,
            "by": lambda row: row.entry.record.actor,
            "action": lambda row: row.entry.record.action,
            "of": _of,
        }

    def columns(self) -> Sequence[Column[Event]]:
        """Return the columns."""
        return (
            Column("at", "AT", lambda row: shown_time(row.entry.record.at, self.shell.zone), 17),
            Column("by", "BY", lambda row: row.entry.record.actor, 12, 32),
            Column("action", "ACTION", lambda row: Span(row.entry.record.action, "strong"), 12),
            Column("of", "OF", _of, 16, 48),
            Column("why", "WHY", lambda row: row.reason, 12, 80, rank=1, sortable=False),
        )

    def key_of(self, row: Event) -> Hashable:
        """Return where the record stands."""
        return (row.model, row.entry.alias, row.entry.record.generation)

    def read(self, session: Session) -> Sequence[Event]:
        """Return the records, newest first."""
        audits, self._left_out = self._load_audits(session)
        self._faults = tuple(fault for audit in audits for fault in audit.faults)
        found = [(audit.model, entry) for audit in audits for entry in audit.entries]
        self._chains = len({(model, entry.alias) for model, entry in found})
        found.sort(key=lambda each: (each[1].record.at, each[1].record.generation), reverse=True)
        long = [each for each in found if each[0] is not None and "note" in each[1].record.detail]
        read = session.ports.map_in_parallel(lambda each: _long_reason(session, *each), long[:MOST_LONG_REASONS])
        reasons = {entry: reason for (_, entry), reason in zip(long, read, strict=False)}
        return [Event(model, entry, reasons.get(entry) or _short_reason(entry)) for model, entry in found]
