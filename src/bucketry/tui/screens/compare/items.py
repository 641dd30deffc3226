"""How is shown what else differs between versions: parameters, training, data, files, the card, tensors?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.schema.judging.comparison_items import ItemChange
from bucketry.tui.drawing.columns import Column
from bucketry.tui.drawing.figures import NOTHING
from bucketry.tui.drawing.paint import Role, Span, line
from bucketry.tui.drawing.table_lines import table_lines, wrapped
from bucketry.tui.drawing.verdict_words import column_title, value_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.schema.judging.comparison import VersionDiff
    from bucketry.schema.judging.comparison_items import ItemDiff
    from bucketry.tui.drawing.paint import Line, Painter

MOST_ITEMS = 200
"""Of one section; `y` copies all."""
_SIGNS: Mapping[ItemChange, tuple[str, Role]] = {
    ItemChange.SAME: ("= same", "dim"),
    ItemChange.ADDED: ("+ added", "good"),
    ItemChange.REMOVED: ("- removed", "bad"),
    ItemChange.CHANGED: ("# changed", "warn"),
}


def sections_of(diff: VersionDiff) -> tuple[tuple[str, tuple[ItemDiff, ...]], ...]:
    """Return everything but the metrics, by title."""
    return (
        ("PARAMETER", diff.parameters),
        ("TRAINING", diff.training),
        ("DATASET", diff.datasets),
        ("FILE", diff.files),
        ("CARD SECTION", diff.sections),
        ("TENSOR", diff.tensors),
    )


def item_lines(
    diff: VersionDiff, width: int, painter: Painter, *, with_unchanged: bool, with_tensors: bool
) -> list[Line]:
    """Return a table for each kind of thing that differs, then what is the same."""
    lines: list[Line] = []
    same = []
    for title, items in sections_of(diff):
        shown = [item for item in items if with_unchanged or item.is_changed]
        if shown:
            lines += [*_section(diff, title, shown, width, painter), line()]
        hidden = len(items) - len(shown)
        if hidden:
            same.append(f"{hidden:,} {_plural(title, hidden)}")
    if same:
        lines += wrapped([Span("the same:", "dim"), *(Span(text, "dim") for text in same)], width)
    if not with_tensors:
        lines.append(line(Span("tensors were not read (x reads them)", "dim")))
    elif any(subject.tensors is None for subject in diff.versions):
        lines.append(line(Span("reading the headers of the files with tensors ...", "dim")))
    elif not diff.tensors:
        lines.append(line(Span("no file here has tensors that can be listed", "dim")))
    return lines


def _section(diff: VersionDiff, title: str, items: Sequence[ItemDiff], width: int, painter: Painter) -> list[Line]:
    several = len({subject.model for subject in diff.versions}) > 1
    names = [f"{one.model.name}:{one.version}" if several else f"v{one.version}" for one in diff.versions]
    pair = len(names) == 2
    columns: list[Column[ItemDiff]] = [Column("name", title, lambda item: item.name, 12, 36)]
    if title != "CARD SECTION":
        columns += [
            Column(f"v{place}", column_title(name, 8), lambda item, at=place: _value(item, at), 8, 40)  # type: ignore[misc]
            for place, name in enumerate(names)
        ]
    columns += [
        _change_column(place, "CHANGE" if pair else column_title(name, 9)) for place, name in enumerate(names[1:])
    ]
    lines = table_lines(columns, items[:MOST_ITEMS], width, painter)
    if len(items) > MOST_ITEMS:
        lines.append(line(Span(f"and {len(items) - MOST_ITEMS:,} more: y copies all", "dim")))
    return lines


def _change_column(place: int, title: str) -> Column[ItemDiff]:
    return Column(f"change{place}", title, lambda item: Span(*_SIGNS[item.changes[place]]), 9, rank=1)


def _value(item: ItemDiff, place: int) -> str:
    return value_text(item.values[place]) if item.is_present[place] else NOTHING


def _plural(title: str, count: int) -> str:
    noun = {"TRAINING": "training fact"}.get(title, title.lower())
    return noun if count == 1 else f"{noun}s"
