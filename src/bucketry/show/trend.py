"""A metric over the versions as a plot of text, as bars in a cell, and in a sentence.

A plot is a box of `rows` lines. Where the terminal shows Braille it is a line of dots, four to a row; else a point for
each version, two to a row, at two columns for each: ASCII looks alike everywhere, and signs can mark some versions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from bucketry.show.figures import NOTHING, number_text, precise_number
from bucketry.show.spans import Line, Role, Span, line, pad

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bucketry.schema.judging.trend import Trend

PLOT_ROWS = 4
"""Of a plot between other things."""
TALL_PLOT_ROWS = 8
WIDEST_PLOT = 100
NARROWEST_PLOT = 16
MARK_ROLES: Mapping[str, Role] = {"*": "good", "o": "accent", "x": "warn", "+": "warn"}
LABEL_COLUMNS = 7
STEP_COLUMNS = 2
"""Columns for each version."""
FEWEST_POINTS = 2
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a Braille character, by its row and column."""
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-=+*#@"


def trend_lines(trend: Trend, marks: Mapping[int, str], legend: Sequence[str], width: int) -> list[Line]:
    """Return the plot of the newest versions: a point for each, and `marks` at some; `legend` says what they are.

    Always `PLOT_ROWS` + 1 lines, so that what stands below stays where it is.
    """
    measured = dict(trend.measured)
    room = max(2, (width - LABEL_COLUMNS - 4) // STEP_COLUMNS)
    shown = trend.points[-room:]
    values = [measured[point.version] for point in shown if point.version in measured]
    if len(values) < FEWEST_POINTS:
        few = "fewer than two of these versions were measured: there is no trend yet"
        return [line(Span(f" {few}", "dim")), *(() for _ in range(PLOT_ROWS))]
    low, high = min(values), max(values)
    rows = []
    for row in range(PLOT_ROWS):
        label = number_text(high) if row == 0 else number_text(low) if row == PLOT_ROWS - 1 and low < high else ""
        spans: list[Span] = [Span(f"{pad(label, LABEL_COLUMNS, right=True)} |", "dim")]
        for point in shown:
            value = measured.get(point.version)
            level = None if value is None else level_of(value, low, high, 2 * PLOT_ROWS)
            spans.append(_cell(level, row, marks.get(point.version, "")))
        said = legend[row] if row < len(legend) else ""
        rows.append((*spans, Span("   "), Span(said, MARK_ROLES.get(said[:1], "dim") if said else "plain")))
    first, last = f"v{shown[0].version}", f"v{shown[-1].version}"
    between = max(1, STEP_COLUMNS * len(shown) - len(first) - len(last))
    return [*rows, line(Span(f"{'':{LABEL_COLUMNS}}  {first}{' ' * between}{last}", "dim"))]


def plot_lines(trend: Trend, aliases: Mapping[str, int], *, width: int, ascii_only: bool) -> Iterator[Line]:
    """Yield the plot of all versions, its scale and its extremes, in lines of `width` columns."""
    lowest, highest = trend.lowest, trend.highest
    if lowest is None or highest is None:
        yield line(f"no version has {trend.metric}")
        return
    top, bottom = precise_number(highest[1]), precise_number(lowest[1])
    margin = max(len(top), len(bottom))
    columns = max(NARROWEST_PLOT, min(WIDEST_PLOT, width - margin - 3))
    shown = _thinned(trend.measured, columns if ascii_only else 2 * columns)
    drawn = _draw(shown, columns, ascii_only=ascii_only)
    yield line(Span(trend.metric, "title"))
    for index, dots in enumerate(drawn):
        label = top if index == 0 else bottom if index == len(drawn) - 1 and lowest != highest else ""
        yield line(f"{label:>{margin}} {'|' if ascii_only else '│'} {dots}".rstrip())
    first, last = f"v{shown[0][0]}", f"v{shown[-1][0]}"
    if first != last:
        yield line(f"{'':{margin}}   {first}{last:>{max(1, columns - len(first))}}")
    values = dict(trend.measured)
    newest = max(values)
    said = [f"newest v{newest} {precise_number(values[newest])}"]
    said += [f"{word} v{at} {precise_number(v)}" for word, (at, v) in (("low", lowest), ("high", highest))]
    said += [f"{alias} v{at} {precise_number(values[at])}" for alias, at in sorted(aliases.items()) if at in values]
    yield line("; ".join(said))
    missing = len(trend.points) - len(values)
    if missing:
        yield line(f"{missing:,} of {len(trend.points):,} versions were not measured")


def trend_bars(values: Sequence[float], width: int, *, is_unicode: bool) -> str:
    """Return a metric over the versions, oldest first, as bars between its least and its greatest value."""
    shown = list(values)[-width:]
    if len(shown) < FEWEST_POINTS:
        return NOTHING
    bars = _BARS if is_unicode else _ASCII_BARS
    low, high = min(shown), max(shown)
    if not high > low:
        return bars[len(bars) // 2] * len(shown)
    return "".join(bars[min(len(bars) - 1, int((value - low) / (high - low) * len(bars)))] for value in shown)


def level_of(value: float, low: float, high: float, levels: int) -> int:
    """Return on which of so many levels a value stands, the lowest is 0; in the middle where all are equal."""
    # Halves first: the difference of two enormous values is none.
    spread = high / 2 - low / 2
    return round((value / 2 - low / 2) / spread * (levels - 1)) if spread > 0 else (levels - 1) // 2


def _cell(level: int | None, row: int, mark: str) -> Span:
    if level is None or PLOT_ROWS - 1 - row != level // 2:
        return Span(" " * STEP_COLUMNS)
    if mark:
        return Span(pad(mark, STEP_COLUMNS), MARK_ROLES.get(mark, "strong"))
    return Span(pad("'" if level % 2 else ".", STEP_COLUMNS))


def _draw(measured: Sequence[tuple[int, float]], columns: int, *, ascii_only: bool) -> list[str]:
    """Return the plot's rows. Versions stand at equal distances; the values fill the height."""
    wide, tall = (columns, TALL_PLOT_ROWS) if ascii_only else (2 * columns, 4 * TALL_PLOT_ROWS)
    values = [value for _, value in measured]
    low, high = min(values), max(values)
    dots: set[tuple[int, int]] = set()
    before: tuple[int, int] | None = None
    for index, value in enumerate(values):
        x = round(index * (wide - 1) / max(1, len(values) - 1))
        y = tall - 1 - level_of(value, low, high, tall)
        from_x, from_y = (x, y) if before is None or ascii_only else before
        steps = max(abs(x - from_x), abs(y - from_y), 1)  # a line of dots from the point before
        dots.update(
            (from_x + round((x - from_x) * step / steps), from_y + round((y - from_y) * step / steps))
            for step in range(steps + 1)
        )
        before = x, y
    if ascii_only:
        return ["".join("*" if (x, y) in dots else " " for x in range(wide)).rstrip() for y in range(tall)]
    return ["".join(_braille(dots, x, y) for x in range(columns)).rstrip(chr(_BRAILLE)) for y in range(TALL_PLOT_ROWS)]


def _braille(dots: set[tuple[int, int]], x: int, y: int) -> str:
    bits = sum(
        bit for down, row in enumerate(_DOTS) for right, bit in enumerate(row) if (2 * x + right, 4 * y + down) in dots
    )
    return chr(_BRAILLE + bits)


def _thinned(measured: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """Return at most so many points: of each stretch the one farthest from the middle, so no peak is lost."""
    if len(measured) <= most:
        return list(measured)
    middle = sorted(value for _, value in measured)[len(measured) // 2]
    bounds = [index * len(measured) // most for index in range(most + 1)]
    return [
        max(measured[start:stop], key=lambda pair: abs(pair[1] / 2 - middle / 2)) for start, stop in pairwise(bounds)
    ]
