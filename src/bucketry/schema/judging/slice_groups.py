"""Puts the slices of compared versions in the order in which to look at them, and measures the gaps between them.

The slices of one metric by the same attributes belong together; within such a group the worst comes first, and the
group that got worst comes first of all. A slice of few samples is shown, but says too little to be judged.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.judging.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.schema.documents.datasets import Dataset
    from bucketry.schema.documents.evidence import Slice
    from bucketry.schema.judging.comparison import MetricDiff, VersionDiff


@frozen
class SliceGroup:
    """One metric over the slices by some attributes, the worst first.

    `gaps` has for each version the distance from its best slice to its worst, of those that can be judged; None where
    it has fewer than two. `judged` are for each version which these slices are.
    """

    name: str
    dataset: Dataset
    kind: str
    attributes: tuple[str, ...]
    direction: str | None
    slices: tuple[MetricDiff, ...]
    gaps: tuple[float | None, ...]
    judged: tuple[frozenset[Slice], ...]

    @property
    def worst(self) -> tuple[tuple[Slice, float] | None, ...]:
        """Each version's worst slice of those that can be judged, and its value; None where no direction is known."""
        choose = {"higher": min, "lower": max}.get(self.direction or "")
        worst: list[tuple[Slice, float] | None] = []
        for place, judged in enumerate(self.judged):
            found = [(one.slice, value) for one in self.slices if (value := one.values[place]) is not None]
            counting = [(part, value) for part, value in found if part in judged]
            worst.append(choose(counting, key=lambda pair: (pair[1], pair[0])) if choose and counting else None)
        return tuple(worst)

    def has_same_slices(self, other: int = -1) -> bool:
        """Return whether the gap of one of `diff.others` is that of the slices that the baseline's is of."""
        return self.judged[0] == self.judged[_place(other)]

    def gap_growth(self, other: int = -1) -> float | None:
        """Return by how much the gap grew for one of `diff.others`, in parts of the baseline's; None if unknown."""
        before, after = self.gaps[0], self.gaps[_place(other)]
        if before is None or after is None or not self.has_same_slices(other):
            return None
        if not before:
            return math.inf if after else 0.0
        return after / before - 1


def slice_groups(diff: VersionDiff, other: int = -1) -> tuple[SliceGroup, ...]:
    """Return the groups of slices, judged by one of `diff.others`."""
    found: dict[tuple[str, Dataset, str, tuple[str, ...]], list[MetricDiff]] = defaultdict(list)
    for metric in diff.metrics:
        if metric.slice:
            key = (metric.name, metric.dataset, metric.kind, tuple(name for name, _ in metric.slice))
            found[key].append(metric)

    def order(metric: MetricDiff) -> tuple[bool, bool, float]:
        """The worst first; those too small to be judged come last."""
        value = metric.values[_place(other)]
        if value is None:
            return True, True, 0.0
        return is_too_small(metric), False, -value if metric.direction == "lower" else value

    groups = [
        SliceGroup(*key, metrics[0].direction, tuple(sorted(metrics, key=order)), *_gaps(metrics))
        for key, metrics in found.items()
    ]

    def urgency(group: SliceGroup) -> tuple[bool, float, str]:
        is_worse = any(one.comparisons[other].verdict is Verdict.WORSE for one in group.slices if one.comparisons)
        growth = group.gap_growth(other)
        return not is_worse, -(growth if growth is not None else -1.0), group.name

    return tuple(sorted(groups, key=urgency))


def gap_groups(diff: VersionDiff) -> tuple[SliceGroup, ...]:
    """Return the groups that have a gap: of two slices or more."""
    return tuple(group for group in slice_groups(diff) if len(group.slices) > 1)


def is_too_small(metric: MetricDiff) -> bool:
    """Return whether a slice was measured on too few samples, in any version, to judge a difference."""
    return bool(metric.slice) and any(one is not None and one.is_small for one in metric.measured)


def _gaps(metrics: Sequence[MetricDiff]) -> tuple[tuple[float | None, ...], tuple[frozenset[Slice], ...]]:
    """Return each version's gap, and of which slices that is."""
    judged = [metric for metric in metrics if not is_too_small(metric)]
    gaps: list[float | None] = []
    measured: list[frozenset[Slice]] = []
    for place in range(len(metrics[0].measured)):
        values = {metric.slice: value for metric in judged if (value := metric.values[place]) is not None}
        measured.append(frozenset(values))
        gap = max(values.values()) - min(values.values()) if len(values) > 1 else None
        gaps.append(gap if gap is not None and math.isfinite(gap) else None)
    return tuple(gaps), tuple(measured)


def _place(other: int) -> int:
    """Return the place among all versions, of which the baseline is the first."""
    return other + 1 if other >= 0 else other
