"""Reads the moments that a text means: a day, a minute or a second has a length, in which something can happen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.schema.text import displayable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST_TEXT = 40


@frozen
class Moment:
    """A span of time: its first microsecond since the epoch, and the first one after it."""

    first_us: int
    after_us: int

    def holds(self, comparison: str, at_us: int) -> bool:
        """Return whether a microsecond compares so with the span: `>` is after all of it, `=` within it."""
        match comparison:
            case "<":
                return at_us < self.first_us
            case "<=":
                return at_us < self.after_us
            case ">":
                return at_us >= self.after_us
            case ">=":
                return at_us >= self.first_us
            case "=":
                return self.first_us <= at_us < self.after_us
        return not self.first_us <= at_us < self.after_us


def parse_day_or_moment(text: str) -> Moment:
    """Return the span of an ISO 8601 day or time, in UTC where it names no zone; raise `UsageError`."""
    try:
        first = datetime.fromisoformat(text)
        first = first.replace(tzinfo=UTC) if first.tzinfo is None else first.astimezone(UTC)
        # What the text leaves out may be anything: so long the moment lasts.
        clock = text[11:].upper().partition("Z")[0].partition("+")[0].partition("-")[0]
        length = timedelta(days=1)
        if "." in clock or "," in clock:
            length = timedelta(milliseconds=1)
        elif clock:
            length = timedelta(seconds=1) if clock.count(":") == 2 else timedelta(minutes=1)
        return Moment(_microseconds(first), _microseconds(first + length))
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f'"{displayable(text[:_LONGEST_TEXT])}" is not a time', advice="write 2026-03-03 or 2026-03-03T12:00:00Z"
        ) from error


def microseconds_of(at: str) -> int:
    """Return the microseconds since the epoch of a time that `parse_time` accepts."""
    return _microseconds(datetime.fromisoformat(at))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
