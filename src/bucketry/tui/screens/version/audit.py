"""What happened to a version, by its model's trail and by those of its aliases, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.registry.versions.history import MOST_RECORDS, load_version_history
from bucketry.schema.documents.alias import MOVES
from bucketry.show.figures import NOTHING, count_of, time_text
from bucketry.show.spans import Line, Span, line, wrapped
from bucketry.show.tables import TextColumn, text_table
from bucketry.tui.screens.version.tab import TabContent, TabRequest

if TYPE_CHECKING:
    from bucketry.registry.versions.history import VersionEvent
    from bucketry.show.figures import Zone

NOTE_INDENT = 4
_HEADINGS = (TextColumn("WHEN", 17, 17), TextColumn("BY", 10, 40), TextColumn("ACTION", 8, 20))
_ALIAS_HEADINGS = (TextColumn("ALIAS", 5, 30), TextColumn("MOVED", 20, 48))


def load_version_audit(request: TabRequest) -> TabContent:
    """Return the records about the version; costs the head, and each alias's register."""
    row, width = request.row, request.width
    history = load_version_history(request.session, row.model, row.version)
    events = history.events
    count = f"{count_of(len(events), 'record')} about this version, newest first"
    lines: list[Line] = [line(Span(count, "strong"))]
    if not history.is_whole:
        missing = (
            f"Only the newest {MOST_RECORDS:,} records of each trail were looked at, which do not go back to when "
            f"{row.created_by} published it ({time_text(row.created_at, request.zone)}). All of them: "
            f"bucketry audit {row.model}"
        )
        lines += wrapped(missing, width, role="warn")
    lines += [each for why in history.damaged for each in wrapped(f"DAMAGED: {why}", width, role="bad")] + [line()]
    headings = (*_HEADINGS, *(_ALIAS_HEADINGS if any(event.alias for event in events) else ()))
    cells = [_cells(event, row.version, request.zone)[: len(headings)] for event in events]
    table = text_table(headings, cells, request.page)
    lines.append(table[0])
    for event, shown in zip(events, table[1:], strict=True):
        lines.append(shown)
        if event.reason:
            lines += wrapped(event.reason, width, indent=NOTE_INDENT)
    verify = f"bucketry audit {row.model} --verify"
    lines += [
        line(),
        line(Span("Not verified here; to verify the whole trail:", "dim")),
        line("  ", Span(verify, "accent")),
    ]
    return TabContent(tuple(lines))


def _cells(event: VersionEvent, version: int, zone: Zone) -> tuple[Span, ...]:
    """Return who did what and when; where the event is a move of an alias, what that named before and after, too."""
    move = NOTHING
    if event.alias is not None and event.action in MOVES:
        before = f"v{event.previous}" if event.previous is not None else "nothing"
        after = f"v{event.target}" if event.target else "nothing"
        this = " (this one)" if event.target == str(version) and event.previous != version else ""
        move = f"{before} -> {after}{this}"
    return (
        Span(time_text(event.at, zone)),
        Span(event.actor),
        Span(event.action, "strong"),
        Span(f"@{event.alias}" if event.alias else NOTHING, "accent" if event.alias else "dim"),
        Span(move),
    )
