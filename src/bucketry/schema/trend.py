"""How does a metric go from version to version? Pure; the same for every face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence


@frozen
class TrendPoint:
    """A version's value of the metric, or None where it was not measured."""

    version: int
    value: float | None


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


def make_trend(metric: str, values: Sequence[tuple[int, float | None]], *, unread: int = 0) -> Trend:
    """Return the trend of values that are given by version in any order."""
    ordered = sorted(values, key=lambda pair: pair[0])
    return Trend(metric, tuple(TrendPoint(version, value) for version, value in ordered), unread)
