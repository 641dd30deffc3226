"""Is the verdict on two values the one that their intervals, data and direction allow?"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.schema.documents.evidence import Confidence
from bucketry.schema.judging.verdicts import LEAST_SAMPLES, Measurement, Reason, Verdict, compare, difference_interval

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-1000, 1000)
LEVELS = st.floats(0, 1, exclude_min=True, exclude_max=True)


@st.composite
def confidences(draw: st.DrawFn) -> Confidence:
    low, high = sorted((draw(NUMBERS), draw(NUMBERS)))
    return Confidence(low, high, draw(LEVELS))


MEASUREMENTS = st.builds(
    Measurement,
    value=NUMBERS,
    unit=st.sampled_from([None, "ms", "s"]),
    confidence=st.none() | confidences(),
    data_version=st.sampled_from([None, "1", "2"]),
    data_digest=st.sampled_from([None, "a", "b"]),
)
DIRECTIONS = st.sampled_from([None, "higher", "lower"])
MIRRORED = {
    Verdict.BETTER: Verdict.WORSE,
    Verdict.WORSE: Verdict.BETTER,
    Verdict.HIGHER: Verdict.LOWER,
    Verdict.LOWER: Verdict.HIGHER,
}


def around(value: float, half: float, level: float = 0.95) -> Measurement:
    return Measurement(value, confidence=Confidence(value - half, value + half, level))


def verdict(before: Measurement, after: Measurement, direction: str | None = "higher") -> Verdict:
    return compare(before, after, direction)[0]


@pytest.mark.parametrize(
    ("after", "direction", "expected"),
    [
        (0.92, "higher", Verdict.BETTER),
        (0.92, "lower", Verdict.WORSE),
        (0.90, "higher", Verdict.WORSE),
        (0.90, "lower", Verdict.BETTER),
        (0.91, "higher", Verdict.SAME),
        (0.91, None, Verdict.SAME),
        (0.92, None, Verdict.UNJUDGED),
        (0.9100000001, "higher", Verdict.BETTER),
    ],
)
def test_of_exact_values_any_difference_counts(after: float, direction: str | None, expected: Verdict) -> None:
    assert verdict(around(0.91, 0), around(after, 0), direction) is expected


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_without_intervals_a_difference_is_not_judged(direction: str) -> None:
    assert compare(Measurement(0.91), Measurement(0.92), direction) == (Verdict.HIGHER, Reason.NO_INTERVAL)
    assert compare(Measurement(0.91), Measurement(0.90), direction) == (Verdict.LOWER, Reason.NO_INTERVAL)
    assert compare(Measurement(0.91), Measurement(0.91), direction) == (Verdict.SAME, Reason.NONE)
    assert compare(Measurement(0.91), Measurement(0.92), None) == (Verdict.UNJUDGED, Reason.NO_DIRECTION)


def test_a_slice_of_few_samples_is_not_judged() -> None:
    few, enough = around(0.91, 0), around(0.92, 0)
    few = replace(few, samples=LEAST_SAMPLES - 1)
    assert compare(few, enough, "higher", of_slice=True) == (Verdict.UNJUDGED, Reason.FEW_SAMPLES)
    assert compare(enough, few, "higher", of_slice=True) == (Verdict.UNJUDGED, Reason.FEW_SAMPLES)
    assert verdict(few, enough) is Verdict.BETTER
    assert compare(replace(few, samples=LEAST_SAMPLES), enough, "higher", of_slice=True)[0] is Verdict.BETTER


def test_a_difference_within_its_interval_is_noise() -> None:
    # Half-widths of 3 and 4 give the difference one of 5.
    assert verdict(around(100, 3), around(104.9, 4)) is Verdict.NOISE
    assert verdict(around(100, 3), around(105.1, 4)) is Verdict.BETTER
    assert verdict(around(100, 3), around(105.1, 4), "lower") is Verdict.WORSE


def test_intervals_that_overlap_may_still_show_a_difference() -> None:
    before, after = around(100, 3), around(105.5, 4)
    assert before.confidence is not None
    assert after.confidence is not None
    assert before.confidence.high > after.confidence.low
    assert verdict(before, after) is Verdict.BETTER


def test_the_side_that_faces_the_other_value_decides() -> None:
    lopsided = Measurement(100, confidence=Confidence(99, 120, 0.95))
    assert verdict(lopsided, Measurement(110)) is Verdict.NOISE
    assert verdict(lopsided, around(98, 0)) is Verdict.WORSE


def test_a_side_without_an_interval_allows_noise_but_no_judgement() -> None:
    assert verdict(around(100, 5), Measurement(104)) is Verdict.NOISE
    assert verdict(Measurement(100), around(104, 5)) is Verdict.NOISE
    assert compare(around(100, 5), Measurement(106), "higher") == (Verdict.HIGHER, Reason.NO_INTERVAL)


def test_levels_are_brought_to_the_higher_one() -> None:
    low, high = difference_interval(around(0, 1.6449, level=0.9), Measurement(0))
    assert [low, high] == [pytest.approx(-1.6449), pytest.approx(1.6449)]
    low, high = difference_interval(around(0, 1.6449, level=0.9), around(0, 0, level=0.99))
    assert high == pytest.approx(2.5758, abs=1e-3)
    assert low == -high


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (Measurement(0.95, data_version="2", data_digest="a"), "different data"),
        (Measurement(0.95, data_version="1", data_digest="b"), "different data"),
        (Measurement(0.91, data_version="2"), "different data"),
        (Measurement(0.95, unit="s", data_version="1"), "different units"),
    ],
)
def test_what_was_measured_otherwise_is_not_judged(other: Measurement, reason: str) -> None:
    before = Measurement(0.91, unit="ms", data_version="1", data_digest="a")
    assert compare(before, other, "higher") == (Verdict.UNJUDGED, reason)


def test_an_unknown_digest_or_unit_is_no_other_one() -> None:
    before = Measurement(0.91, unit="ms", data_version="1", data_digest="a")
    assert verdict(before, Measurement(0.95, data_version="1")) is Verdict.HIGHER


@given(MEASUREMENTS, MEASUREMENTS, DIRECTIONS)
def test_swapping_the_two_mirrors_the_verdict(one: Measurement, other: Measurement, direction: str | None) -> None:
    there, back = verdict(one, other, direction), verdict(other, one, direction)
    assert back is MIRRORED.get(there, there)


@given(MEASUREMENTS, DIRECTIONS)
def test_a_value_is_the_same_as_itself(one: Measurement, direction: str | None) -> None:
    assert verdict(one, one, direction) is Verdict.SAME


@given(MEASUREMENTS, MEASUREMENTS)
def test_the_interval_of_a_difference_holds_the_difference(one: Measurement, other: Measurement) -> None:
    low, high = difference_interval(one, other)
    delta = other.value - one.value
    assert math.isinf(delta) or low <= delta <= high
