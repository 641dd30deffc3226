"""How does a metric over the newest versions look in a few lines of text? Pure; ASCII, so it looks alike everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.tui.drawing.figures import short_number
from bucketry.tui.drawing.paint import Role, Span, line, pad

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.schema.judging.trend import Trend
    from bucketry.tui.drawing.paint import Line

PLOT_ROWS = 4
MARK_ROLES: Mapping[str, Role] = {"*": "good", "o": "accent", "x": "warn", "+": "warn"}
LABEL_COLUMNS = 7
STEP_COLUMNS = 2
"""Columns for each version."""


def trend_lines(trend: Trend, marks: Mapping[int, str], legend: Sequence[str], width: int) -> list[Line]:
    """Return the plot: a point for each version, and `marks` at some versions; `legend` says what they are.

    Always `PLOT_ROWS` + 1 lines, so that what stands below stays where it is.
    """
    measured = dict(trend.measured)
    if len(measured) < 2:
        few = "fewer than two of these versions were measured: there is no trend yet"
        return [line(Span(f" {few}", "dim")), *(() for _ in range(PLOT_ROWS))]
    room = max(2, (width - LABEL_COLUMNS - 4) // STEP_COLUMNS)
    shown = trend.points[-room:]
    values = [measured[point.version] for point in shown if point.version in measured]
    low, high = min(values), max(values)
    rows = []
    for row in range(PLOT_ROWS):
        label = short_number(high) if row == 0 else short_number(low) if row == PLOT_ROWS - 1 and low < high else ""
        spans: list[Span] = [Span(f"{pad(label, LABEL_COLUMNS, right=True)} |", "dim")]
        for point in shown:
            value = measured.get(point.version)
            spans.append(_cell(_level(value, low, high), row, marks.get(point.version, "")))
        rows.append((*spans, Span("   "), _legend(legend, row)))
    first, last = f"v{shown[0].version}", f"v{shown[-1].version}"
    between = max(1, STEP_COLUMNS * len(shown) - len(first) - len(last))
    axis = f"{'':{LABEL_COLUMNS}}  {first}{' ' * between}{last}"
    return [*rows, line(Span(axis, "dim"))]


def _level(value: float | None, low: float, high: float) -> int | None:
    """Return how high a value stands, in half rows from the bottom."""
    if value is None:
        return None
    steps = 2 * PLOT_ROWS - 1
    # Halves first: the difference of two enormous values is none.
    spread = high / 2 - low / 2
    return round((value / 2 - low / 2) / spread * steps) if spread > 0 else steps // 2


def _cell(level: int | None, row: int, mark: str) -> Span:
    if level is None or PLOT_ROWS - 1 - row != level // 2:
        return Span(" " * STEP_COLUMNS)
    if mark:
        return Span(pad(mark, STEP_COLUMNS), MARK_ROLES.get(mark, "strong"))
    return Span(pad("'" if level % 2 else ".", STEP_COLUMNS))


def _legend(said: Sequence[str], row: int) -> Span:
    return Span(said[row], MARK_ROLES.get(said[row][0], "dim")) if row < len(said) else Span("")
