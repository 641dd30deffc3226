"""Does the worst slice come first, and is none judged that was measured on too few samples?"""

from __future__ import annotations

import math

import pytest

from bucketry.schema.documents.evidence import Confidence, Evidence, Metric
from bucketry.schema.judging.comparison import VersionDiff, diff_metrics
from bucketry.schema.judging.slice_groups import SliceGroup, gap_groups, is_too_small, slice_groups
from bucketry.schema.judging.verdicts import LEAST_SAMPLES, Reason, Verdict
from bucketry.show.verdicts import verdict_span

ENOUGH = LEAST_SAMPLES


def evaluation(
    values: dict[str, float], *, name: str = "recall", direction: str | None = "higher", **samples: int
) -> Evidence:
    return Evidence(
        "automated",
        tuple(
            Metric(
                name,
                value,
                direction=direction,
                slice={"age": age},
                confidence=Confidence(value, value, 0.95),
                samples=samples.get(age, ENOUGH),
            )
            for age, value in values.items()
        ),
    )


def groups(*versions: list[Evidence], other: int = -1) -> tuple[SliceGroup, ...]:
    return slice_groups(diff_of(*versions), other)


def diff_of(*versions: list[Evidence]) -> VersionDiff:
    return VersionDiff((), diff_metrics(versions), (), (), (), (), (), ())


def ages(group: SliceGroup) -> list[str]:
    return [one.slice[0][1] for one in group.slices]


@pytest.mark.parametrize(("direction", "expected"), [("higher", ["low", "high"]), ("lower", ["high", "low"])])
def test_the_worst_slice_comes_first_whichever_way_is_better(direction: str, expected: list[str]) -> None:
    values = {"high": 0.9, "low": 0.1}
    (group,) = groups([evaluation(values, direction=direction)], [evaluation(values, direction=direction)])
    assert ages(group) == expected


def test_the_version_that_is_looked_at_decides_which_slice_is_worst() -> None:
    first, second, third = {"a": 0.1, "b": 0.2}, {"a": 0.3, "b": 0.2}, {"a": 0.1, "b": 0.2}
    versions = [[evaluation(one)] for one in (first, second, third)]
    (group,) = groups(*versions, other=0)
    assert ages(group) == ["b", "a"]
    (group,) = groups(*versions, other=1)
    assert ages(group) == ["a", "b"]


def test_a_slice_of_few_samples_comes_last_and_does_not_count_for_the_gap() -> None:
    before = evaluation({"few": 0.0, "a": 0.5, "b": 0.7}, few=LEAST_SAMPLES - 1)
    after = evaluation({"few": 0.0, "a": 0.4, "b": 0.7}, few=LEAST_SAMPLES - 1)
    (group,) = groups([before], [after])
    assert ages(group) == ["a", "b", "few"]
    assert group.gaps == pytest.approx((0.2, 0.3))
    assert [is_too_small(one) for one in group.slices] == [False, False, True]
    assert group.gap_growth() == pytest.approx(0.5)


def test_few_samples_in_one_version_are_enough_to_judge_nothing() -> None:
    (group,) = groups([evaluation({"a": 0.5}, a=LEAST_SAMPLES - 1)], [evaluation({"a": 0.4}, a=ENOUGH)])
    assert is_too_small(group.slices[0])
    only = group.slices[0].comparisons[0]
    assert (only.verdict, only.reason) == (Verdict.UNJUDGED, Reason.FEW_SAMPLES)
    assert verdict_span(only).text == "? n<200"
    (group,) = groups([evaluation({"a": 0.5})], [evaluation({"a": 0.4})])
    assert group.slices[0].comparisons[0].verdict is Verdict.WORSE


def by_age(*values: float, direction: str | None = "higher") -> Evidence:
    return evaluation(
        dict(zip(("18-25", "26-40", "41-65"), values, strict=False)), direction=direction, name="x-recall"
    )


def test_the_worst_slice_and_the_gap_before_and_after() -> None:
    (gap,) = gap_groups(diff_of([by_age(0.6, 0.65, 0.63)], [by_age(0.64, 0.65, 0.5)]))
    assert (gap.name, gap.attributes, gap.has_same_slices()) == ("x-recall", ("age",), True)
    assert gap.worst == (((("age", "18-25"),), 0.6), ((("age", "41-65"),), 0.5))
    assert list(gap.gaps) == [pytest.approx(0.05), pytest.approx(0.15)]


def test_where_lower_is_better_the_greatest_is_the_worst() -> None:
    (gap,) = gap_groups(diff_of([by_age(1, 2, direction="lower")], [by_age(3, 2, direction="lower")]))
    assert [worst[1] for worst in gap.worst if worst] == [2, 3]


def test_without_a_direction_there_is_a_gap_but_no_worst_slice() -> None:
    (gap,) = gap_groups(diff_of([by_age(1, 2, direction=None)], [by_age(3, 2, direction=None)]))
    assert (gap.worst, gap.gaps) == ((None, None), (1, 1))


def test_a_slice_of_few_samples_is_never_the_worst() -> None:
    (gap,) = gap_groups(diff_of([evaluation({"few": 0.1, "a": 0.5, "b": 0.7}, few=1)]))
    assert gap.worst == (((("age", "a"),), 0.5),)


def test_a_single_slice_has_no_gap() -> None:
    assert gap_groups(diff_of([by_age(0.6)], [by_age(0.5)])) == ()


def test_a_metric_over_the_whole_data_is_never_too_small() -> None:
    metrics = diff_metrics([[Evidence("automated", (Metric("auc", 0.5, samples=1),))]] * 2)
    assert not is_too_small(metrics[0])


def test_the_metric_that_got_worse_comes_before_one_whose_gap_grew_and_that_before_one_that_stayed() -> None:
    stayed = {name: evaluation({"x": 0.4, "y": 0.5}, name=name) for name in ("a-stays", "b-gap", "c-worse")}
    wider = evaluation({"x": 0.4, "y": 0.6}, name="b-gap")
    worse = evaluation({"x": 0.3, "y": 0.4}, name="c-worse")
    found = groups(list(stayed.values()), [stayed["a-stays"], wider, worse])
    assert [group.name for group in found] == ["c-worse", "b-gap", "a-stays"]


def test_gaps_over_different_slices_are_not_compared() -> None:
    (group,) = groups([evaluation({"a": 0.5, "b": 0.7})], [evaluation({"a": 0.5, "c": 0.9})])
    assert not group.has_same_slices()
    assert group.gap_growth() is None


def test_a_third_version_without_slices_does_not_keep_two_gaps_from_being_compared() -> None:
    slices = [evaluation({"a": 0.5, "b": 0.7})]
    (group,) = groups(slices, [evaluation({}, name="other")], [evaluation({"a": 0.5, "b": 0.6})])
    assert not group.has_same_slices(0)
    assert group.gap_growth(1) == pytest.approx(-0.5)


def test_a_gap_where_there_was_none_grew_without_end() -> None:
    (group,) = groups([evaluation({"a": 0.5, "b": 0.5})], [evaluation({"a": 0.5, "b": 0.6})])
    assert group.gap_growth() == math.inf
    (group,) = groups([evaluation({"a": 0.5, "b": 0.5})], [evaluation({"a": 0.6, "b": 0.6})])
    assert group.gap_growth() == 0.0


def test_a_version_alone_has_its_slices_in_order() -> None:
    (group,) = groups([evaluation({"a": 0.9, "b": 0.1})])
    assert ages(group) == ["b", "a"]
    assert group.gaps == pytest.approx((0.8,))


def test_enormous_values_have_no_gap_that_is_a_number() -> None:
    (group,) = groups([evaluation({"a": 1.7e308, "b": -1.7e308})])
    assert group.gaps == (None,)
