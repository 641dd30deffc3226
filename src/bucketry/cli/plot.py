"""How does a trend look in text? Pure: dots of Braille where the terminal can show them, else stars."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from bucketry.cli.figures import human_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bucketry.schema.judging.trend import Trend

PLOT_ROWS = 8
WIDEST_PLOT = 100
NARROWEST_PLOT = 16
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a Braille character, by its row and column."""


def plot_lines(trend: Trend, aliases: Mapping[str, int], *, width: int, ascii_only: bool) -> Iterator[str]:
    """Yield the plot of a trend, its scale and its extremes, in lines of `width` columns."""
    measured = trend.measured
    lowest, highest = trend.lowest, trend.highest
    if lowest is None or highest is None:
        yield f"no version has {trend.metric}"
        return
    top, bottom = human_number(highest[1]), human_number(lowest[1])
    margin = max(len(top), len(bottom))
    columns = max(NARROWEST_PLOT, min(WIDEST_PLOT, width - margin - 3))
    shown = _thinned(measured, columns if ascii_only else 2 * columns)
    drawn = _draw(shown, columns, ascii_only=ascii_only)
    yield trend.metric
    for index, line in enumerate(drawn):
        label = top if index == 0 else bottom if index == len(drawn) - 1 and lowest != highest else ""
        yield f"{label:>{margin}} {'|' if ascii_only else '│'} {line}".rstrip()
    first, last = f"v{shown[0][0]}", f"v{shown[-1][0]}"
    if first != last:
        yield f"{'':{margin}}   {first}{last:>{max(1, columns - len(first))}}"
    yield from _said(trend, aliases)


def _said(trend: Trend, aliases: Mapping[str, int]) -> Iterator[str]:
    values = dict(trend.measured)
    newest = max(values)
    marks = [f"newest v{newest} {human_number(values[newest])}"]
    if trend.lowest and trend.highest:
        marks += [
            f"{word} v{at} {human_number(v)}" for word, (at, v) in (("low", trend.lowest), ("high", trend.highest))
        ]
    marks += [f"{alias} v{at} {human_number(values[at])}" for alias, at in sorted(aliases.items()) if at in values]
    yield "; ".join(marks)
    missing = len(trend.points) - len(values)
    if missing:
        yield f"{missing:,} of {len(trend.points):,} versions were not measured"


def _draw(measured: Sequence[tuple[int, float]], columns: int, *, ascii_only: bool) -> list[str]:
    """Return the plot's lines. Versions stand at equal distances; the values fill the height."""
    wide, tall = (columns, PLOT_ROWS) if ascii_only else (2 * columns, 4 * PLOT_ROWS)
    values = [value for _, value in measured]
    low, high = min(values), max(values)
    # Halves first: the difference of two enormous values is none.
    spread = high / 2 - low / 2
    dots: set[tuple[int, int]] = set()
    before: tuple[int, int] | None = None
    for index, value in enumerate(values):
        across = round(index * (wide - 1) / max(1, len(values) - 1))
        up = round((value / 2 - low / 2) / spread * (tall - 1)) if spread else tall // 2
        here = (across, tall - 1 - up)
        dots.update(_line(before, here) if before and not ascii_only else [here])
        before = here
    if ascii_only:
        return ["".join("*" if (x, y) in dots else " " for x in range(wide)).rstrip() for y in range(tall)]
    return ["".join(_braille(dots, x, y) for x in range(columns)).rstrip(chr(_BRAILLE)) for y in range(PLOT_ROWS)]


def _line(start: tuple[int, int], stop: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the dots from one point to the next."""
    steps = max(abs(stop[0] - start[0]), abs(stop[1] - start[1]), 1)
    for step in range(steps + 1):
        yield (
            start[0] + round((stop[0] - start[0]) * step / steps),
            start[1] + round((stop[1] - start[1]) * step / steps),
        )


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
