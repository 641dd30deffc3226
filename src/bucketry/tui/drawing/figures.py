"""How do the narrow cells of a table show sizes, ages, numbers and times? Pure: the present is an argument."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bucketry.index.damage import Damage

Zone = Literal["local", "utc"]

_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_AGE_UNITS = ((365 * 86_400, "y"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_UNITS = frozenset({"ms", "us", "ns", "s", "kb", "mb", "gb", "kib", "mib", "gib", "pct"})
_S = {"alias": "es"}
_DIGEST = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")
NOTHING = "-"
"""What a cell says where there is nothing to say."""


def short_size(size_bytes: float) -> str:
    """Return a size in at most 8 columns: `97.7 GB`."""
    value = float(size_bytes)
    for unit in _SIZE_UNITS:
        if abs(value) < 999.95 or unit == _SIZE_UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("the last unit takes every size")


def short_age(at: str, now: datetime) -> str:
    """Return the age of a time in its largest unit, in at most 4 columns: `5h`, `13d`; `now` for the future."""
    return span_text((now - parse_moment(at)).total_seconds())


def span_text(seconds: float) -> str:
    """Return a span in its largest unit."""
    for unit_seconds, unit in _AGE_UNITS:
        if seconds >= unit_seconds:
            return f"{int(seconds // unit_seconds)}{unit}"
    return "now"


def short_number(value: float | None) -> str:
    """Return a metric's value in at most 7 columns: `.9152` below one, `41.9`, `1.2e+09`; `-` for none."""
    if value is None:
        return NOTHING
    if not isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 100_000:
        return str(int(value))
    size = abs(value)
    if size < 0.00005 or size >= 100_000:
        return f"{value:.1e}"
    if size < 1:
        return f"{value:.4f}".replace("0.", ".", 1)
    return f"{value:.3f}" if size < 10 else f"{value:.1f}"


def column_number(value: float | str | None, *, is_whole: bool) -> str:
    """Return a value with its point below the points of the values above it, as far as can be; texts as they are."""
    if isinstance(value, str):
        return value
    if value is None or is_whole or not isfinite(value):
        return short_number(value)
    size = abs(value)
    if size < 1 or size >= 100_000:
        return short_number(value) if value else ".0000"
    return f"{value:.3f}" if size < 10 else f"{value:.1f}"


def metric_title(name: str) -> str:
    """Return a metric's name as a title: `AUC`, and `P95ms` for `p95_ms`."""
    begin, _, unit = name.rpartition("_")
    return f"{begin.upper()}{unit}" if begin and unit in _UNITS else name.upper()


def shown_time(at: str, zone: Zone) -> str:
    """Return a time to the minute, in the zone that the user wants: `2026-11-22 09:14`, with `Z` for UTC."""
    moment = parse_moment(at)
    if zone == "utc":
        return moment.strftime("%Y-%m-%d %H:%MZ")
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def parse_moment(text: str) -> datetime:
    """Return an ISO 8601 time in UTC; raise `ValueError`."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def count_of(count: int, noun: str) -> str:
    """Return `1 file` or `12 files`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeou" else f"{noun}{_S.get(noun, 's')}"
    return f"{count:,} {noun if count == 1 else plural}"


def damage_words(damage: Damage) -> str:
    """Return `1 model and 3 versions are DAMAGED, the first: ...`."""
    counts = ((damage.models, "model"), (damage.aliases, "alias"), (damage.versions, "version"))
    parts = [count_of(count, noun) for count, noun in counts if count]
    return f"{' and '.join(parts)} {'is' if damage.count == 1 else 'are'} DAMAGED, the first: {damage.first}"


def short_digests(text: str) -> str:
    """Return a text with the first digits of each digest in it."""
    return _DIGEST.sub(r"\1", text)
