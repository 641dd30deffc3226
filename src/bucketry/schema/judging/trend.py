"""How a metric goes from version to version; the same for every face."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NONE: Mapping[int, str] = MappingProxyType({})


@frozen
class TrendPoint:
    """A version's value of the metric; None where it was not measured, or, as `damaged` says, cannot be read."""

    version: int
    value: float | None
    damaged: str = ""


@frozen
class Trend:
    """A metric's values by version, the oldest first. The extremes are None where nothing was measured.

    `unread` counts the versions that may have a value that nobody looked for.
    """

    metric: str
    points: tuple[TrendPoint, ...]
    unread: int = 0

    @property
    def measured(self) -> tuple[tuple[int, float], ...]:
        """Version and value of each point that has one."""
        return tuple((point.version, point.value) for point in self.points if point.value is not None)

    @property
    def lowest(self) -> tuple[int, float] | None:
        """The version with the least value, the newest of several."""
        return min(reversed(self.measured), key=lambda pair: pair[1], default=None)

    @property
    def highest(self) -> tuple[int, float] | None:
        """The version with the greatest value, the newest of several."""
        return max(reversed(self.measured), key=lambda pair: pair[1], default=None)


def make_trend(
    metric: str, values: Sequence[tuple[int, float | None]], *, unread: int = 0, damaged: Mapping[int, str] = _NONE
) -> Trend:
    """Return the trend of values, by version in any order; `damaged` says which cannot be read, and why."""
    ordered = sorted(values, key=lambda pair: pair[0])
    points = (TrendPoint(version, value, damaged.get(version, "")) for version, value in ordered)
    return Trend(metric, tuple(points), unread)
