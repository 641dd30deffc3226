"""Sizes, spans of time, ages, rates, numbers and counts in the words of both faces; the present is an argument."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import isfinite
from typing import Literal

Zone = Literal["local", "utc"]

NOTHING = "-"
"""What a cell says where there is nothing to say."""
BAR_COLUMNS = 12
DIGEST_DIGITS = 12
"""Of a digest in a list: enough to tell things apart by eye; `--json` has all."""
LARGEST_WHOLE = 10_000_000
"""From here on a whole number would need more than 7 columns."""
GREATEST_FIXED, LEAST_FIXED = 100_000, 0.00005
_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_AGE_UNITS = ((365 * 86_400, "y"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_UNITS = frozenset({"ms", "us", "ns", "s", "kb", "mb", "gb", "kib", "mib", "gib", "pct"})
_PLURALS = {"alias": "aliases"}
_DIGEST = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")


def size_text(size_bytes: float) -> str:
    """Return a size in decimal units with one digit after the point, in at most 8 columns: `97.7 GB`, `812 B`."""
    value = float(size_bytes)
    for unit in _SIZE_UNITS:
        # 999.95 would be printed as 1000.0
        if abs(value) < 999.95 or unit == _SIZE_UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("the last unit takes every size")


def rate_text(bytes_per_second: float) -> str:
    """Return a rate in at most 8 columns: `812 MB/s`, `95.2 MB/s`."""
    number, _, unit = size_text(bytes_per_second).partition(" ")
    return f"{float(number):.0f} {unit}/s" if len(number) > len("99.9") else f"{number} {unit}/s"


def span_text(seconds: float) -> str:
    """Return a span in its largest unit, in at most 4 columns: `5h`, `13d`; below a second as `now`."""
    for unit_seconds, unit in _AGE_UNITS:
        if seconds >= unit_seconds:
            return f"{int(seconds // unit_seconds)}{unit}"
    return "now"


def age_text(at: str, now: datetime) -> str:
    """Return the age of an RFC 3339 time in its largest unit; `now` for the future."""
    return span_text((now - parse_moment(at)).total_seconds())


def clock_text(seconds: float) -> str:
    """Return how long something takes or took: `0:47`, `12:34`, `3:20:00`; below ten seconds `2.4 s`."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def bar_text(done: int, total: int, columns: int) -> str:
    """Return a bar of so many columns with its brackets; full only when all is done."""
    inner = max(1, columns - 2)
    full = inner if total <= 0 or done >= total else min(inner - 1, max(0, done) * inner // total)
    return f"[{'#' * full}{'-' * (inner - full)}]"


def percent_of(done: int, total: int) -> int:
    """Return how many whole percent are done, of nothing all."""
    return 100 if total <= 0 else max(0, min(100, 100 * done // total))


def share_text(done: int, total: int) -> str:
    """Return a bar and a percentage, for a line of its own: `[#####-----]  50%`."""
    return f"{bar_text(done, total, BAR_COLUMNS)} {percent_of(done, total):3d}%"


def number_text(value: float | None) -> str:
    """Return a number in at most 7 columns: `.9152` below one, `41.9`, `1.2e+09`; `-` for none."""
    if value is None:
        return NOTHING
    if not isfinite(value):
        return str(value)
    if value == int(value) and -LARGEST_WHOLE / 10 < value < LARGEST_WHOLE:
        return str(int(value))
    size = abs(value)
    if size < LEAST_FIXED or size >= GREATEST_FIXED:
        return f"{value:.1e}"
    if size < 1:
        return fixed_text(value, 4)
    return f"{value:.3f}" if size < 10 else f"{value:.1f}"


def column_number(value: float | str | None, *, is_whole: bool) -> str:
    """Return a value with its point below the points of the values above it, as far as can be; texts as they are."""
    if isinstance(value, str):
        return value
    if value is None or is_whole or not isfinite(value):
        return number_text(value)
    size = abs(value)
    if size < 1 or size >= GREATEST_FIXED:
        return number_text(value) if value else ".0000"
    return f"{value:.3f}" if size < 10 else f"{value:.1f}"


def fixed_text(value: float, decimals: int) -> str:
    """Return a number with so many decimals, without the zero before the point."""
    text = f"{value:.{decimals}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def precise_number(value: float) -> str:
    """Return a number with at most six significant digits, where there is room for them; a whole number as one."""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def metric_title(name: str) -> str:
    """Return a metric's name as a title: `AUC`, and `P95ms` for `p95_ms`."""
    begin, _, unit = name.rpartition("_")
    return f"{begin.upper()}{unit}" if begin and unit in _UNITS else name.upper()


def time_text(at: str, zone: Zone) -> str:
    """Return a time to the minute, in the zone that the user wants: `2026-11-22 09:14`, with `Z` for UTC."""
    moment = parse_moment(at)
    if zone == "utc":
        return moment.strftime("%Y-%m-%d %H:%MZ")
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def parse_moment(text: str) -> datetime:
    """Return an ISO 8601 time, in UTC where it names no zone; raise `ValueError`."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def plural_of(noun: str) -> str:
    """Return the plural of an English noun: `files`, `days`, `entries`, `aliases`."""
    if noun in _PLURALS:
        return _PLURALS[noun]
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeou" else f"{noun}s"


def count_of(count: int, noun: str) -> str:
    """Return `1 file` or `12 files`."""
    return f"{count:,} {noun if count == 1 else plural_of(noun)}"


def short_digests(text: str) -> str:
    """Return a text with the first digits of each digest in it."""
    return _DIGEST.sub(r"\1", text)
