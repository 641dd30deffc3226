"""Is one measured value better than another, worse, or is the difference noise?

With confidence intervals, the difference has one too: each side's distance to the bound that matters, added as squares
(Newcombe's method, which also holds for lopsided intervals). If it contains 0, the difference is noise. That is right
for independent measurements and cautious for two models on the same examples, where errors go along. Whether the two
intervals overlap would be the wrong question: it calls differences noise that are none. Intervals of different levels
are first brought to the higher level, as if normal. A side without an interval counts as exact; so where neither has
one, any difference counts.
"""

from __future__ import annotations

import math
from enum import StrEnum
from statistics import NormalDist
from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from bucketry.schema.evidence import Confidence


class Verdict(StrEnum):
    """What a value is, next to the baseline's."""

    BETTER = "better"
    WORSE = "worse"
    NOISE = "noise"
    UNJUDGED = "unjudged"
    SAME = "same"


@frozen
class Measurement:
    """One value as evidence states it, and which version of the data it was measured on."""

    value: float
    unit: str | None = None
    direction: str | None = None
    confidence: Confidence | None = None
    samples: int | None = None
    data_version: str | None = None
    data_digest: str | None = None

    def is_same_data(self, other: Measurement) -> bool:
        """Return whether both were measured on the same data, as far as is known."""
        digests = {self.data_digest, other.data_digest} - {None}
        return self.data_version == other.data_version and len(digests) < 2


def compare(before: Measurement, after: Measurement, direction: str | None) -> tuple[Verdict, str]:
    """Return what the second value is next to the first, and the reason where there is no verdict."""
    if not before.is_same_data(after):
        return Verdict.UNJUDGED, "different data"
    if before.unit != after.unit and before.unit is not None and after.unit is not None:
        return Verdict.UNJUDGED, "different units"
    if before.value == after.value:
        return Verdict.SAME, ""
    if direction is None:
        return Verdict.UNJUDGED, "no direction stated"
    low, high = difference_interval(before, after)
    if low <= 0 <= high and (before.confidence or after.confidence):
        return Verdict.NOISE, ""
    is_better = (after.value > before.value) == (direction == "higher")
    return (Verdict.BETTER if is_better else Verdict.WORSE), ""


def difference_interval(before: Measurement, after: Measurement) -> tuple[float, float]:
    """Return the confidence interval of the second value minus the first."""
    level = max((side.confidence.level for side in (before, after) if side.confidence is not None), default=0.95)
    before_down, before_up = _distances(before, level)
    after_down, after_up = _distances(after, level)
    delta = after.value - before.value
    return delta - math.hypot(after_down, before_up), delta + math.hypot(after_up, before_down)


def _distances(side: Measurement, level: float) -> tuple[float, float]:
    """Return how far a value's bounds lie below and above it at a level."""
    if side.confidence is None:
        return 0.0, 0.0
    stretch = _quantile(level) / _quantile(side.confidence.level)
    down, up = side.value - side.confidence.low, side.confidence.high - side.value
    # A bootstrap's interval may lie beside the value.
    return max(0.0, down) * stretch, max(0.0, up) * stretch


def _quantile(level: float) -> float:
    """Return how many standard deviations to either side hold this share of a normal distribution."""
    # Beyond these, the argument is 0.5 or 1.0 in floating point, and the answer zero or infinite.
    return NormalDist().inv_cdf(min(max(0.5 + level / 2, 0.5 + 1e-15), 1 - 1e-15))
