"""Judges one measured value beside another: better, worse, or a difference that is noise.

With confidence intervals, the difference has one too: each side's distance to the bound that matters, added as squares
(Newcombe's method, which also holds for lopsided intervals). If it contains 0, the difference is noise. That is right
for independent measurements and cautious for two models on the same examples, where errors go along. Whether the two
intervals overlap would be the wrong question: it calls differences noise that are none. Intervals of different levels
are first brought to the higher level, as if normal. Where a side has none, nobody can say how exact its value is: what
lies within the other's interval is noise all the same, and any other difference is only `higher` or `lower`. A value
that is exact (a count, a size) says so by an interval of no width.

A slice of few samples is shown, but says too little to be judged.
"""

from __future__ import annotations

import math
from enum import StrEnum
from statistics import NormalDist
from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from bucketry.schema.documents.evidence import Confidence


LEAST_SAMPLES = 200
"""A share measured on fewer is uncertain by 7 percentage points and more (95 %, at one half)."""


class Verdict(StrEnum):
    """What a value is, next to the baseline's; the most urgent first."""

    WORSE = "worse"
    BETTER = "better"
    LOWER = "lower"
    HIGHER = "higher"
    UNJUDGED = "unjudged"
    NOISE = "noise"
    SAME = "same"


class Reason(StrEnum):
    """Why a difference is not judged."""

    NONE = ""
    DIFFERENT_DATA = "different data"
    DIFFERENT_UNITS = "different units"
    NO_DIRECTION = "no direction stated"
    CONTRADICTORY = "contradictory directions"
    NO_INTERVAL = "no interval"
    FEW_SAMPLES = f"fewer than {LEAST_SAMPLES} samples"
    IN_NEITHER = "measured in neither"
    NOT_IN_BASELINE = "measured not in the baseline"
    ONLY_IN_BASELINE = "measured in the baseline only"


@frozen
class Measurement:
    """One value as evidence states it, and which version of the data it was measured on.

    `assumed` says that the interval is not stated, but follows from what the metric is known to be.
    """

    value: float
    unit: str | None = None
    direction: str | None = None
    confidence: Confidence | None = None
    samples: int | None = None
    data_version: str | None = None
    data_digest: str | None = None
    assumed: bool = False

    @property
    def is_small(self) -> bool:
        """Whether it was measured on too few samples to judge a slice by it."""
        return self.samples is not None and self.samples < LEAST_SAMPLES

    def is_same_data(self, other: Measurement) -> bool:
        """Return whether both were measured on the same data, as far as is known."""
        digests = {self.data_digest, other.data_digest} - {None}
        return self.data_version == other.data_version and len(digests) < 2


def compare(
    before: Measurement, after: Measurement, direction: str | None, *, of_slice: bool = False
) -> tuple[Verdict, Reason]:
    """Return what the second value is next to the first, and the reason where that is no judgement."""
    reason = _why_not_comparable(before, after)
    if reason is Reason.NONE and before.value == after.value:
        return Verdict.SAME, Reason.NONE
    if reason is Reason.NONE and of_slice and (before.is_small or after.is_small):
        reason = Reason.FEW_SAMPLES
    if reason is Reason.NONE and direction is None:
        reason = Reason.NO_DIRECTION
    if reason is not Reason.NONE:
        return Verdict.UNJUDGED, reason
    low, high = difference_interval(before, after)
    if low <= 0 <= high and (before.confidence or after.confidence):
        return Verdict.NOISE, Reason.NONE
    is_higher = after.value > before.value
    if before.confidence is None or after.confidence is None:
        return (Verdict.HIGHER if is_higher else Verdict.LOWER), Reason.NO_INTERVAL
    return (Verdict.BETTER if is_higher == (direction == "higher") else Verdict.WORSE), Reason.NONE


def _why_not_comparable(before: Measurement, after: Measurement) -> Reason:
    if not before.is_same_data(after):
        return Reason.DIFFERENT_DATA
    if before.unit != after.unit and before.unit is not None and after.unit is not None:
        return Reason.DIFFERENT_UNITS
    return Reason.NONE


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
