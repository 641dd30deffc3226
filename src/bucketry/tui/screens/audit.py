"""Who did what, to one model or to all, and whether the chain of records holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bucketry.frozen import frozen
from bucketry.index.views import list_models_by, load_model_lines
from bucketry.registry.core.notes import load_reason
from bucketry.registry.serving.auditing import AuditEntry, load_audit, load_registry_audit
from bucketry.schema.documents.audit import NO_RECORD
from bucketry.show.audit import (
    TELLS_ALIAS,
    action_span,
    detail_text,
    own_reason,
    target_text,
    target_version,
    whole_span,
)
from bucketry.show.figures import count_of, short_digests, time_text
from bucketry.show.spans import Line, Span, line, wrapped
from bucketry.show.tables import Column
from bucketry.tui.screens.listing import FINDING, MOVING, why_no_row
from bucketry.tui.screens.reading import LOOKING_AGAIN, ReadListView, ReadRows
from bucketry.tui.shell.commands import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.registry.serving.auditing import Audit
    from bucketry.schema.names import ModelName
    from bucketry.tui.shell.view import Shell

MOST_MODELS = 50
"""The whole trails of so many models are read at once, those first that changed last."""
TOLD_ONLY = "The alias took note of the version; it names the same one as before."
INTERNAL = "Internal: an operation on another version or alias noted this here; nobody did it by itself."
MOST_LONG_REASONS = 100
"""Reasons that lie in a document of their own, of which so many are read with the list."""


@frozen
class Event:
    """One record of a model (of the registry itself where `model` is None); `reason` is the one that it gives."""

    model: ModelName | None
    entry: AuditEntry
    reason: str


class AuditView(ReadListView[Event]):
    """The records, newest first."""

    CALLED = "who did what (:audit)"

    def __init__(self, shell: Shell, model: ModelName | None = None) -> None:
        self.model = model
        self.with_internal = False
        super().__init__(shell)

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Where this is."""
        return (str(self.model), "audit") if self.model else ("audit",)

    @property
    def words(self) -> tuple[str, ...]:
        """The command that shows the same of one model."""
        words = ("audit", str(self.model)) if self.model else ("audit",)
        return (*words, "--all") if self.with_internal else words

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
            Column("at", "AT", lambda row: time_text(row.entry.record.at, self.shell.zone), 17),
            Column("by", "BY", lambda row: row.entry.record.actor, 12, 32, rank=1),
            Column("action", "ACTION", lambda row: action_span(row.entry), 14, 20),
            Column("of", "OF", _of, 24, 48),
            Column(
                "detail",
                "DETAIL",
                lambda row: short_digests(detail_text(row.entry, row.reason)),
                12,
                80,
                rank=2,
                sortable=False,
            ),
        )

    def key_of(self, row: Event) -> Hashable:
        """Return where the record stands."""
        return (row.model, row.entry.alias, row.entry.record.generation)

    def read(self, session: Session) -> ReadRows[Event]:
        """Return the records, newest first, and whether every chain holds and what is not listed."""
        audits, left_out = self._load_audits(session)
        found = [
            (audit.model, entry)
            for audit in audits
            for entry in audit.entries
            if self.with_internal or not entry.record.is_internal
        ]
        found.sort(key=lambda each: (each[1].record.at, each[1].record.generation), reverse=True)
        long = [(model, entry) for model, entry in found if model is not None and "note" in entry.record.detail]
        del long[MOST_LONG_REASONS:]
        read = session.map_in_parallel(lambda each: load_reason(session, each[0], each[1].record), long)
        reasons = {entry.record.transaction: reason for (_, entry), reason in zip(long, read, strict=True)}
        events = [
            Event(model, entry, reasons.get(entry.record.transaction) or own_reason(entry)) for model, entry in found
        ]
        internal = sum(entry.record.is_internal for audit in audits for entry in audit.entries)
        said = whole_span(audits)
        if said.role == "bad":
            return ReadRows(events, line(said))
        left = f"; {count_of(left_out, 'older model')} not read" if left_out else ""
        hidden = internal and not self.with_internal
        more = (Span(f"; . lists {internal} internal", "dim"),) if hidden else ()
        return ReadRows(events, line(Span(said.text + left, said.role), *more))

    def texts(self, row: Event) -> Mapping[str, str]:
        """Return what a filter finds."""
        record = row.entry.record
        return {
            "by": record.actor,
            "action": record.action,
            "of": _of(row),
            "model": str(row.model or ""),
            "alias": row.entry.alias or "",
            "detail": detail_text(row.entry, row.reason),
            "at": record.at,
        }

    def open_row(self, row: Event) -> None:
        """Open the version that the record names."""
        if row.model is None:
            self.shell.flash("this record is about the registry itself, and names no version", "warn")
        else:
            self.open_version(row.model, target_version(row.entry))

    def empty_lines(self) -> Sequence[Line]:
        """Return that nothing happened yet."""
        return (line("There are no records. h goes back, r looks again."),)

    def detail(self, row: Event, width: int) -> Sequence[Line]:
        """Return the whole record."""
        record = row.entry.record
        title = f"{record.action} {_of(row)}"
        told = detail_text(row.entry)
        before = record.previous if record.previous != NO_RECORD else "none: this is the first"
        chain = f"record {record.generation} of {row.entry.key}"
        return [
            line(Span(title, "strong")),
            *wrapped(f"by {record.actor}, {time_text(record.at, self.shell.zone)}", width),
            *(wrapped(f"reason  {row.reason}", width) if row.reason else ()),
            *(wrapped(told, width) if told else ()),
            *(wrapped(INTERNAL, width) if record.is_internal else ()),
            *(wrapped(TOLD_ONLY, width) if record.action in TELLS_ALIAS else ()),
            *wrapped(chain, width, role="dim"),
            *wrapped(f"SHA-256   {record.digest}", width, role="dim"),
            *wrapped(f"before it {before}", width, role="dim"),
        ]

    def _load_audits(self, session: Session) -> tuple[list[Audit], int]:
        """Return the trails that are shown, and how many models have others."""
        if self.model is not None:
            return [load_audit(session, self.model)], 0
        index = self.shell.source.index
        ids = list_models_by(index, order="updated", descending=True).ids
        models = [found.model for found in load_model_lines(index, ids[:MOST_MODELS])]
        audits = session.map_in_parallel(lambda model: load_audit(session, model), models)
        return [load_registry_audit(session), *audits], len(ids) - len(models)

    def _toggle_internal(self, _: str) -> None:
        self.with_internal = not self.with_internal
        self.shell.flash(f"internal records are {'listed' if self.with_internal else 'left out'}", "dim")
        self.data_changed()

    def _yank(self, _: str) -> None:
        if self.current is not None:
            self.shell.copy(self.current.entry.record.digest)

    COMMANDS: ClassVar[tuple[Command[AuditView], ...]] = (
        *FINDING,
        Command(
            "internal",
            (".",),
            "Show or hide internal records, which nobody made by itself",
            _toggle_internal,
            group="Read",
        ),
        Command("yank", ("y",), "Copy the record's SHA-256", _yank, why_no_row, "copy", "Read"),
        *MOVING,
        *LOOKING_AGAIN,
    )


def _of(row: Event) -> str:
    return target_text(row.model, row.entry)
