"""How do people read sizes, spans, rates and ages? Pure: the present is an argument."""

from __future__ import annotations

from datetime import UTC, datetime

_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_AGE_UNITS = (
    (365 * 86_400, "y"),
    (30 * 86_400, "mo"),
    (86_400, "d"),
    (3_600, "h"),
    (60, "min"),
    (1, "s"),
)


def human_size(size_bytes: float) -> str:
    """Return a size in decimal units with one digit after the point: `91.6 MB`, `812 B`."""
    value = float(size_bytes)
    for unit in _SIZE_UNITS:
        # 999.95 would be printed as 1000.0
        if abs(value) < 999.95 or unit == _SIZE_UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("the last unit takes every size")


def human_span(seconds: float) -> str:
    """Return how long something took: `0.4 s`, `75 s`, `12 min 5 s`, `3 h 20 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 2 * 3_600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60} min"


def clock_time(seconds: float) -> str:
    """Return a span that is counted down: `0:05`, `12:34`, `3:20:00`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def human_age(at: str, now: datetime) -> str:
    """Return the age of an RFC 3339 time in its largest unit: `3d`, `5h`; a time in the future is `now`."""
    seconds = (now - parse_moment(at)).total_seconds()
    for unit_seconds, unit in _AGE_UNITS:
        if seconds >= unit_seconds:
            return f"{int(seconds // unit_seconds)}{unit}"
    return "now"


def human_number(value: float) -> str:
    """Return a metric's value with at most six significant digits; a whole number as one."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.6g}"


def parse_moment(text: str) -> datetime:
    """Return an ISO 8601 time, in UTC where it names no zone; raise `ValueError`."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def count_of(count: int, noun: str) -> str:
    """Return `1 file` or `12 files`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"
