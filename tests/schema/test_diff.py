"""Are versions aligned and judged rightly, whatever evidence they have, in whatever order?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.schema.codec import encode
from bucketry.schema.documents.datasets import Dataset
from bucketry.schema.documents.evidence import Confidence, Evidence, Metric
from bucketry.schema.documents.manifest import Artifact, Chunks, Manifest, Training
from bucketry.schema.judging.comparison import (
    ComparedVersion,
    ItemChange,
    MetricDiff,
    diff_items,
    diff_metrics,
    diff_versions,
    flatten,
)
from bucketry.schema.judging.verdicts import Verdict
from bucketry.schema.names import Digest, ModelName
from bucketry.show.verdicts import verdict_span

if TYPE_CHECKING:
    from collections.abc import Mapping

CHAT = ModelName("acme", "chat")
MIRRORED = {
    Verdict.BETTER: Verdict.WORSE,
    Verdict.WORSE: Verdict.BETTER,
    Verdict.HIGHER: Verdict.LOWER,
    Verdict.LOWER: Verdict.HIGHER,
}


def measured(value: float, name: str = "auc", *, data: Mapping[str, object] | None = None, **more: Any) -> Evidence:
    kind = more.pop("kind", "automated")
    dataset = {"name": "fraud", "version": "1"} if data is None else data
    exact = Confidence(value, value, 0.95)
    return Evidence(
        kind, (Metric(name, value, **{"direction": "higher", "confidence": exact, **more}),), dataset=dataset
    )


def only(metrics: tuple[MetricDiff, ...]) -> MetricDiff:
    (metric,) = metrics
    return metric


def compared(*versions: list[Evidence]) -> tuple[MetricDiff, ...]:
    return diff_metrics(versions)


def test_a_metric_is_compared_with_the_baseline() -> None:
    metric = only(compared([measured(0.8)], [measured(0.9)], [measured(0.6)], [measured(0.8)]))
    assert metric.values == (0.8, 0.9, 0.6, 0.8)
    assert [one.verdict for one in metric.comparisons] == [Verdict.BETTER, Verdict.WORSE, Verdict.SAME]
    assert metric.comparisons[0].delta == pytest.approx(0.1)
    assert metric.comparisons[0].relative == pytest.approx(0.125)


@pytest.mark.parametrize(
    "other",
    [
        measured(0.9, "recall"),
        measured(0.9, slice={"age": "18-25"}),
        measured(0.9, kind="human"),
        measured(0.9, data={"name": "other", "version": "1"}),
        measured(0.9, data={"name": "fraud", "version": "1", "split": "test"}),
        *(measured(0.9, data={"name": "fraud", "version": "1", field: "x"}) for field in ("config", "task", "args")),
        measured(0.9, data={"name": "fraud", "version": "1", "result": 2}),
    ],
)
def test_what_is_not_the_same_measurement_stands_apart(other: Evidence) -> None:
    metrics = compared([measured(0.8)], [other])
    assert sorted(metric.values for metric in metrics if metric.values[0]) == [(0.8, None)]
    assert [one.comparisons[0].verdict for one in metrics] == [Verdict.UNJUDGED] * 2
    assert {one.comparisons[0].reason for one in metrics} == {
        "measured in the baseline only",
        "measured not in the baseline",
    }


def test_other_data_stands_side_by_side_without_a_verdict() -> None:
    metric = only(compared([measured(0.8)], [measured(0.9, data={"name": "fraud", "version": "2"})]))
    assert metric.values == (0.8, 0.9)
    assert metric.dataset == Dataset("fraud", None, None)
    assert (metric.comparisons[0].verdict, metric.comparisons[0].reason) == (Verdict.UNJUDGED, "different data")


def test_a_baseline_that_was_measured_again_is_compared_on_the_same_data() -> None:
    again = {"name": "fraud", "version": "2"}
    old, new = compared([measured(0.8), measured(0.7, data=again)], [measured(0.75, data=again)])
    assert (old.values, new.values) == ((0.8, None), (0.7, 0.75))
    assert new.comparisons[0].verdict is Verdict.BETTER


def test_data_with_another_digest_allows_no_verdict() -> None:
    before, after = ({"name": "fraud", "version": "1", "digest": digest} for digest in "ab")
    metric = only(compared([measured(0.8, data=before)], [measured(0.9, data=after)]))
    assert metric.comparisons[0].verdict is Verdict.UNJUDGED


def test_of_two_values_of_one_version_the_later_counts() -> None:
    assert only(compared([measured(0.8)], [measured(0.9), measured(0.7)])).values == (0.8, 0.7)


def test_one_who_states_the_direction_states_it_for_all() -> None:
    metric = only(compared([measured(0.8, direction=None)], [measured(0.9)]))
    assert (metric.direction, metric.comparisons[0].verdict) == ("higher", Verdict.BETTER)


def test_a_well_known_metric_has_a_direction_that_nobody_states_and_that_is_marked() -> None:
    metric = only(compared([measured(0.8, direction=None)], [measured(0.9, direction=None)]))
    assert (metric.direction, metric.direction_assumed) == ("higher", True)
    assert (metric.comparisons[0].verdict, metric.comparisons[0].assumed) == (Verdict.BETTER, True)
    assert verdict_span(metric.comparisons[0]).text == "^ better*"
    unknown = only(compared([measured(0.8, "x", direction=None)], [measured(0.9, "x", direction=None)]))
    assert (unknown.direction, unknown.direction_assumed) == (None, False)
    assert verdict_span(unknown.comparisons[0]).text == "? no direction"


def test_a_stated_direction_wins_over_what_is_known() -> None:
    metric = only(compared([measured(0.8, direction="lower")], [measured(0.9, direction=None)]))
    assert (metric.direction, metric.direction_assumed) == ("lower", False)
    assert (metric.comparisons[0].verdict, metric.comparisons[0].assumed) == (Verdict.WORSE, False)


def test_a_share_of_known_samples_has_an_interval_that_nobody_states() -> None:
    few = [[measured(value, "accuracy", confidence=None, samples=60)] for value in (0.9, 0.85)]
    many = [[measured(value, "accuracy", confidence=None, samples=60_000)] for value in (0.9, 0.85)]
    assert verdict_span(only(compared(*few)).comparisons[0]).text == "~ noise*"
    assert verdict_span(only(compared(*many)).comparisons[0]).text == "v WORSE*"
    assert [one.assumed for one in only(compared(*many)).measured if one] == [True, True]


def test_a_rating_of_few_answers_is_lower_and_not_worse() -> None:
    rated = [[measured(value, "rating", kind="human", confidence=None, samples=60)] for value in (4.290, 4.270)]
    comparison = only(compared(*rated)).comparisons[0]
    assert (comparison.verdict, comparison.reason, verdict_span(comparison).text) == (
        Verdict.LOWER,
        "no interval",
        "v lower",
    )


def test_contradictory_directions_allow_no_verdict() -> None:
    comparison = only(compared([measured(0.8, direction="lower")], [measured(0.9)])).comparisons[0]
    assert (comparison.verdict, comparison.reason) == (Verdict.UNJUDGED, "contradictory directions")


def test_intervals_make_noise_of_a_difference() -> None:
    wide = Confidence(0.7, 0.9, 0.95)
    comparison = only(compared([measured(0.8, confidence=wide)], [measured(0.85)])).comparisons[0]
    assert comparison.verdict is Verdict.NOISE


def test_a_difference_that_no_number_holds_is_left_out() -> None:
    comparison = only(compared([measured(-1.7e308)], [measured(1.7e308)])).comparisons[0]
    assert (comparison.delta, comparison.relative, comparison.verdict) == (None, None, Verdict.BETTER)
    assert only(compared([measured(0)], [measured(1)])).comparisons[0].relative is None


def artifact(path: str, content: str) -> Artifact:
    return Artifact(path, len(content), Digest(content * 64), "text/plain", Chunks(16, (), ()))


def subject(version: int, artifacts: tuple[Artifact, ...] = (), **more: Any) -> ComparedVersion:
    training = Training(
        hyperparameters=more.pop("parameters", {}), datasets=more.pop("datasets", ()), seed=more.pop("seed", None)
    )
    manifest = Manifest(CHAT, "2026-01-01T00:00:00.000Z", "ada", artifacts, training)
    return ComparedVersion(CHAT, version, Digest("0" * 64), manifest, **more)


def test_files_parameters_data_card_and_tensors_are_compared() -> None:
    diff = diff_versions(
        subject(
            1,
            (artifact("a", "1"), artifact("b", "2"), artifact("d", "4")),
            parameters={"lr": 0.1, "optimizer": {"name": "adam", "eps": 1}},
            datasets=({"name": "tickets", "version": "1"},),
            seed=7,
            sections={"Use": "old", "Data": "x"},
            tensors={"w": "F32 [2]"},
        ),
        [
            subject(
                2,
                (artifact("a", "1"), artifact("b", "3"), artifact("c", "4")),
                parameters={"lr": 0.1, "optimizer": {"name": "sgd", "eps": 1.0}},
                datasets=({"name": "tickets", "version": "2"}, {"name": "web"}),
                seed=8,
                sections={"Use": "new", "Data": "x"},
                tensors={"w": "F16 [2]"},
            )
        ],
    )

    def changes(items: Any) -> dict[str, str]:
        return {item.name: item.changes[0].value for item in items}

    assert changes(diff.files) == {"a": "same", "b": "changed", "c": "added", "d": "removed"}
    assert changes(diff.parameters) == {"lr": "same", "optimizer.eps": "same", "optimizer.name": "changed"}
    assert changes(diff.datasets) == {"tickets": "changed", "web": "added"}
    assert changes(diff.training) == {"seed": "changed"}
    assert changes(diff.sections) == {"Use": "changed", "Data": "same"}
    assert changes(diff.tensors) == {"w": "changed"}


def test_data_that_is_named_twice_is_kept_twice() -> None:
    twice = ({"name": "web", "version": "1"}, {"name": "web", "version": "2"})
    diff = diff_versions(subject(1, datasets=twice), [subject(2, datasets=twice[:1])])
    assert [(item.name, item.changes[0]) for item in diff.datasets] == [
        ("web", ItemChange.SAME),
        ("web (2)", ItemChange.REMOVED),
    ]


def test_tensors_are_not_compared_where_nobody_looked() -> None:
    assert diff_versions(subject(1, tensors={"w": "F32 [1]"}), [subject(2)]).tensors == ()


def test_true_is_not_one_and_null_is_not_absent() -> None:
    (value,) = diff_items([{"a": True}, {"a": 1}, {"a": None}, {}])
    assert [change.value for change in value.changes] == ["changed", "changed", "removed"]
    (value,) = diff_items([{"a": [1, {"b": 2}]}, {"a": [1.0, {"b": 2}]}, {"a": [1, {"b": True}]}])
    assert [change.value for change in value.changes] == ["same", "changed"]


def test_an_empty_table_is_a_value_of_its_own() -> None:
    assert flatten({"a": {}, "b": {"c": {"d": 1}}}) == {"a": {}, "b.c.d": 1}


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9)
METRICS = st.builds(
    Metric,
    name=st.sampled_from(["auc", "loss"]),
    value=NUMBERS,
    unit=st.sampled_from([None, "ms"]),
    direction=st.sampled_from([None, "higher", "lower"]),
    slice=st.sampled_from([{}, {"age": "1"}, {"age": "2"}, {"age": "1", "sex": "f"}]),
    confidence=st.none()
    | st.tuples(NUMBERS, NUMBERS, st.sampled_from([0.5, 0.95])).map(
        lambda three: Confidence(min(three[:2]), max(three[:2]), three[2])
    ),
    samples=st.none() | st.integers(0, 9),
)
EVIDENCE = st.builds(
    Evidence,
    kind=st.sampled_from(["automated", "human"]),
    metrics=st.lists(METRICS, max_size=4, unique_by=lambda one: (one.name, one.slice_key)).map(tuple),
    dataset=st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["d", "e"]),
            "version": st.sampled_from(["1", "2", 3]),
            "split": st.sampled_from(["test", ""]),
            "digest": st.sampled_from(["a", "b"]),
        },
    ),
)
VERSIONS = st.lists(EVIDENCE, max_size=4)


def identity(metric: MetricDiff) -> tuple[object, ...]:
    return metric.name, metric.dataset, metric.slice, metric.kind


@given(VERSIONS, VERSIONS)
def test_swapping_the_baseline_mirrors_every_verdict(one: list[Evidence], other: list[Evidence]) -> None:
    there = {identity(metric): metric for metric in diff_metrics([one, other])}
    back = {identity(metric): metric for metric in diff_metrics([other, one])}
    assert there.keys() == back.keys()
    for key, metric in there.items():
        verdict = metric.comparisons[0].verdict
        assert back[key].comparisons[0].verdict is MIRRORED.get(verdict, verdict)
        assert back[key].values == metric.values[::-1]


@given(VERSIONS, st.lists(VERSIONS, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_the_order_of_the_others_does_not_matter(baseline: list[Evidence], others: list[Any], chance: Any) -> None:
    order = list(range(len(others)))
    chance.shuffle(order)
    straight = diff_metrics([baseline, *others])
    shuffled = diff_metrics([baseline, *(others[index] for index in order)])
    assert list(map(identity, straight)) == list(map(identity, shuffled))
    for one, two in zip(straight, shuffled, strict=True):
        assert [one.comparisons[index] for index in order] == list(two.comparisons)


@given(VERSIONS, st.randoms(use_true_random=False))
def test_the_order_of_metrics_within_evidence_does_not_matter(items: list[Evidence], chance: Any) -> None:
    shuffled = [
        Evidence(item.kind, tuple(chance.sample(item.metrics, len(item.metrics))), dataset=item.dataset)
        for item in items
    ]
    assert diff_metrics([items, items]) == diff_metrics([shuffled, items])


NAMING_DATA = EVIDENCE.map(lambda one: replace(one, dataset={"name": "d", **one.dataset}))


@given(st.lists(st.lists(NAMING_DATA, max_size=4), min_size=2, max_size=4))
def test_every_comparison_can_be_written_as_json_and_has_every_measurement(versions: list[Any]) -> None:
    metrics = diff_metrics(versions)
    for metric in metrics:
        for one in metric.comparisons:
            encode({"delta": one.delta, "relative": one.relative, "verdict": one.verdict.value})
    for index, items in enumerate(versions):
        kept = {
            (
                item.kind,
                metric.name,
                metric.slice_key,
                *(str(item.dataset.get(key, "")) for key in ("name", "version", "split")),
            )
            for item in items
            for metric in item.metrics
        }
        assert sum(metric.measured[index] is not None for metric in metrics) == len(kept)


def test_a_stated_standard_error_is_an_interval() -> None:
    near = [[measured(value, "rating", confidence=None, standard_error=0.05)] for value in (4.29, 4.27)]
    assert verdict_span(only(compared(*near)).comparisons[0]).text == "~ noise"
    far = [[measured(value, "reward", confidence=None, deviation=15.0, samples=100)] for value in (275.0, 268.0)]
    assert verdict_span(only(compared(*far)).comparisons[0]).text == "v WORSE"
    alone = [[measured(value, "reward", confidence=None, deviation=15.0)] for value in (275.0, 268.0)]
    assert verdict_span(only(compared(*alone)).comparisons[0]).text == "v lower"


def test_a_value_that_names_no_data_is_no_second_measurement_beside_one_that_does() -> None:
    bare, named = measured(0.8, data={}), measured(0.8)
    assert only(compared([bare, named], [bare, named])).dataset == Dataset("fraud", version="1")
    assert len(compared([bare, named], [measured(0.9, data={}), named])) == 2
    assert len(compared([bare, named], [bare])) == 2, "else the second version would have nothing to compare with"
    assert len(compared([bare], [measured(0.9, data={})])) == 1
