from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.schema.codec import encode
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.gates import GateResult, results_digest
from bucketry.schema.documents.policy import Policy, decode_policy, parse_policy_toml
from bucketry.schema.judging.gate_checks import Evaluations, GateSubject, ScannedFile, ScanReport, judge_gates
from bucketry.schema.names import AliasName

if TYPE_CHECKING:
    from collections.abc import Mapping

PRODUCTION = AliasName("production")
FRAUD = {"name": "fraud", "version": "2"}


def metrics(**values: float) -> tuple[Metric, ...]:
    return tuple(Metric(name, value, direction="higher") for name, value in values.items())


def evidence(kind: str = "automated", dataset: Mapping[str, object] | None = None, **values: float) -> Evidence:
    return Evidence(kind, metrics(**values), dataset=dataset or {})


def sliced(name: str, direction: str | None = "higher", **values: float) -> Evidence:
    """Return the metric over the whole (`whole=`) and by age."""
    return Evidence(
        "automated",
        tuple(
            Metric(name, value, direction=direction, slice={} if age == "whole" else {"age": age})
            for age, value in values.items()
        ),
    )


def subject(*published: Evidence, added: tuple[Evidence, ...] = ()) -> GateSubject:
    return GateSubject(Evaluations(3, published, added))


def result(gate: str, looked_at: GateSubject, alias: AliasName | None = None) -> GateResult:
    (one,) = judge_gates(parse_policy_toml(f"[[gate]]\n{gate}", what="p"), looked_at, alias=alias)
    return one


def against(looked_at: GateSubject, *published: Evidence, added: tuple[Evidence, ...] = ()) -> GateSubject:
    return replace(looked_at, baselines={PRODUCTION: Evaluations(2, published, added)})


AUC = 'metric = "auc"\nat_least = 0.9'
NO_WORSE = 'metric = "auc"\nno_worse_than = "production"\ntolerance = 0.005'


@pytest.mark.parametrize(
    ("gate", "value", "passed", "limit"),
    [
        ("at_least = 0.9", 0.9, True, 0.9),
        ("at_least = 0.9", 0.8999, False, 0.9),
        ("at_most = 120", 120, True, 120),
        ("at_most = 120", 120.1, False, 120),
        ("at_least = 0.1\nat_most = 0.3", 0.2, True, 0.1),
        ("at_least = 0.1\nat_most = 0.3", 0.05, False, 0.1),
        ("at_least = 0.1\nat_most = 0.3", 0.35, False, 0.3),
    ],
)
def test_a_threshold_includes_its_limit(gate: str, value: float, passed: bool, limit: float) -> None:  # noqa: FBT001
    found = result(f'metric = "auc"\n{gate}', subject(evidence(auc=value)))
    assert (found.passed, found.value, found.limit) == (passed, value, limit)


def test_a_failed_threshold_says_by_how_much() -> None:
    found = result(AUC, subject(evidence(dataset=FRAUD, auc=0.89)))
    assert found.reason == "0.89 on fraud 2 is below 0.9 by 0.01"
    assert found.gate == "auc >= 0.9"
    over = result('metric = "p95"\nat_most = 100', subject(evidence(p95=120)))
    assert over.reason == "120 is above 100 by 20"


def test_what_was_not_measured_fails() -> None:
    found = result(AUC, subject(evidence(f1=1)))
    assert not found.passed
    assert found.value is None
    assert found.reason == "auc was not measured"


def test_a_gate_on_a_dataset_looks_at_that_dataset_only() -> None:
    looked_at = subject(evidence(dataset=FRAUD, auc=0.8), evidence(dataset={"name": "easy"}, auc=0.99))
    assert not result(AUC + '\ndataset = "fraud"', looked_at).passed
    assert result(AUC + '\ndataset = "easy"', looked_at).passed
    assert result(AUC + '\ndataset = "other"', looked_at).reason == "auc was not measured on other"
    assert not result(AUC + '\ndataset = {name = "easy", version = "2"}', looked_at).passed


def test_of_what_was_published_together_the_worst_counts() -> None:
    looked_at = subject(evidence(dataset={"name": "easy"}, auc=0.99), evidence(dataset=FRAUD, auc=0.8))
    assert result(AUC, looked_at).value == 0.8


def test_the_evidence_that_was_recorded_last_counts() -> None:
    worse, better = evidence(auc=0.8), evidence(auc=0.95)
    assert result(AUC, subject(worse, added=(better,))).passed
    assert not result(AUC, subject(better, added=(worse,))).passed
    assert not result(AUC, subject(better, added=(better, worse))).passed
    assert result(AUC, subject(worse, added=(better, evidence(f1=0.1)))).passed


def test_time_that_evidence_claims_does_not_decide() -> None:
    claimed = replace(evidence(auc=0.95), at="2099-01-01T00:00:00Z")
    assert not result(AUC, subject(claimed, added=(evidence(auc=0.8),))).passed


def test_evidence_of_another_kind_does_not_count() -> None:
    gate = 'metric = "toxicity"\nevidence = "safety"\nat_most = 0.02'
    found = result(gate, subject(evidence(toxicity=0.01)))
    assert (found.passed, found.reason) == (False, "toxicity was not measured by safety evidence")
    assert result(gate, subject(evidence("safety", toxicity=0.01), added=(evidence(toxicity=0.5),))).passed


def test_the_worst_slice_counts() -> None:
    looked_at = subject(sliced("auc", whole=0.95, young=0.91, old=0.7))
    found = result(AUC + '\nslices = "all"', looked_at)
    assert (found.passed, found.value) == (False, 0.7)
    assert found.reason == "the worst, 0.7 for age=old is below 0.9 by 0.2"
    assert result(AUC, looked_at).value == 0.95
    assert result(AUC + '\nslice = {age = "young"}', looked_at).value == 0.91
    assert result('metric = "auc"\nat_most = 0.92\nslices = "all"', looked_at).value == 0.95


def test_slices_that_nobody_measured_do_not_hold() -> None:
    found = result(AUC + '\nslices = "all"', subject(evidence(auc=0.99)))
    assert (found.passed, found.reason) == (False, "no slice of auc was measured")
    assert "was not measured for age=old" in result(AUC + '\nslice = {age = "old"}', subject(evidence(auc=1))).reason


def test_a_slice_that_was_added_later_counts_beside_the_older_whole() -> None:
    looked_at = subject(sliced("auc", whole=0.95, old=0.7), added=(sliced("auc", old=0.92),))
    found = result(AUC + '\nslices = "all"', looked_at)
    assert (found.passed, found.value) == (True, 0.92)


@pytest.mark.parametrize(("value", "passed"), [(0.895, True), (0.8949, False), (0.95, True)])
def test_no_worse_than_an_alias_but_for_a_tolerance(value: float, passed: bool) -> None:  # noqa: FBT001
    found = result(NO_WORSE, against(subject(evidence(auc=value)), evidence(auc=0.9)))
    assert (found.passed, found.value, found.limit) == (passed, value, 0.895)
    assert "version 2 (production) has 0.9" in found.reason


def test_lower_may_be_better() -> None:
    ours = subject(sliced("loss", "lower", whole=1.2))
    gate = 'metric = "loss"\nno_worse_than = "production"\ntolerance = 0.1'
    found = result(gate, against(ours, sliced("loss", "lower", whole=1.0)))
    assert (found.passed, found.limit) == (False, 1.1)
    assert result(gate, against(ours, sliced("loss", "lower", whole=1.1))).passed


def test_an_alias_that_is_not_set_holds_nothing_back() -> None:
    looked_at = replace(subject(evidence(auc=0.1)), baselines={PRODUCTION: None})
    found = result(NO_WORSE, looked_at)
    assert (found.passed, found.reason) == (True, "production is not set yet")


def test_without_a_direction_nothing_is_no_worse() -> None:
    ours, theirs = sliced("auc", None, whole=0.99), sliced("auc", None, whole=0.9)
    found = result(NO_WORSE, against(subject(ours), theirs))
    assert not found.passed
    assert "nothing says whether higher or lower auc is better" in found.reason
    assert result(NO_WORSE + '\ndirection = "higher"', against(subject(ours), theirs)).passed


def test_directions_that_contradict_each_other_fail() -> None:
    looked_at = against(subject(sliced("auc", "lower", whole=0.1)), sliced("auc", "higher", whole=0.9))
    assert "both that higher and that lower" in result(NO_WORSE, looked_at).reason
    alone = against(subject(sliced("auc", "lower", whole=0.1)), sliced("auc", "lower", whole=0.9))
    assert not result(NO_WORSE + '\ndirection = "higher"', alone).passed


def test_only_the_same_data_is_compared() -> None:
    ours = subject(evidence(dataset={"name": "easy"}, auc=0.99))
    found = result(NO_WORSE, against(ours, evidence(dataset=FRAUD, auc=0.5)))
    assert (found.passed, found.reason) == (False, "version 2 (production) was measured on other data: fraud 2")
    newer = against(
        subject(evidence(dataset={"name": "fraud", "version": "3"}, auc=0.99)), evidence(dataset=FRAUD, auc=0.5)
    )
    assert not result(NO_WORSE, newer).passed
    assert not result(NO_WORSE + '\ndataset = "fraud"', newer).passed


def test_every_dataset_that_both_have_is_compared() -> None:
    both = (evidence(dataset={"name": "easy"}, auc=0.9), evidence(dataset=FRAUD, auc=0.9))
    ours = subject(evidence(dataset={"name": "easy"}, auc=0.99), evidence(dataset=FRAUD, auc=0.8))
    assert not result(NO_WORSE, against(ours, *both)).passed


def test_of_what_a_baseline_measured_at_once_the_best_counts() -> None:
    found = result(NO_WORSE, against(subject(evidence(auc=0.85)), evidence(auc=0.8), evidence(auc=0.9)))
    assert (found.passed, found.limit) == (False, 0.895)


def test_a_baseline_that_was_not_measured_fails_with_what_to_do() -> None:
    found = result(NO_WORSE, against(subject(evidence(auc=0.99)), evidence(f1=0.5)))
    assert (found.passed, found.reason) == (False, "version 2 (production) was not measured: add evidence to it")


def test_every_slice_of_the_baseline_must_be_measured_and_no_worse() -> None:
    gate = NO_WORSE + '\nslices = "all"'
    theirs = sliced("auc", whole=0.9, young=0.9, old=0.9)
    assert result(gate, against(subject(sliced("auc", whole=0.95, young=0.9, old=0.9)), theirs)).passed
    worse = result(gate, against(subject(sliced("auc", whole=0.95, young=0.9, old=0.8)), theirs))
    assert (worse.passed, worse.value) == (False, 0.8)
    assert "for age=old" in worse.reason
    missing = result(gate, against(subject(sliced("auc", whole=0.95, young=0.9)), theirs))
    assert not missing.passed
    assert missing.reason == "not measured for age=old, as version 2 (production) was"
    more = subject(sliced("auc", whole=0.95, young=0.9, old=0.9, unknown=0.1))
    assert result(gate, against(more, theirs)).passed


def test_evidence_of_a_kind_is_counted() -> None:
    gate = 'evidence = "safety"\nat_least = 2'
    one = subject(evidence("safety", a=1), evidence(b=1))
    found = result(gate, one)
    assert (found.passed, found.value, found.limit) == (False, 1, 2)
    assert found.reason == "1 of 2 safety evaluations are there"
    assert result(gate, subject(evidence("safety", a=1), added=(evidence("safety", a=1),))).passed


def test_a_card_must_have_its_sections_and_say_something_in_them() -> None:
    gate = 'card_sections = ["Intended use", "Limitations", "Data"]'
    card = "# M\n## intended USE\nyes\n## Limitations\n[More Information Needed]\n"
    found = result(gate, replace(subject(), card=card))
    assert (found.passed, found.value, found.limit) == (False, 1, 3)
    assert found.reason == "Limitations is empty, Data is missing"
    assert result(gate, replace(subject(), card=card + "none\n## Data\nall\n")).passed
    assert "no model card" in result(gate, subject()).reason


@pytest.mark.parametrize(
    ("path", "passed"),
    [
        ("model.safetensors", True),
        ("sub/Model.SAFETENSORS", True),
        ("LICENSE", True),
        ("archive.tar.gz", True),
        ("model.safetensors.pkl", False),
        ("safetensors", True),
        ("evilsafetensors", False),
        ("x.gz", False),
    ],
)
def test_only_listed_formats_pass(path: str, passed: bool) -> None:  # noqa: FBT001
    gate = 'formats = ["safetensors", "license", "tar.gz"]'
    found = result(gate, replace(subject(), paths=(path, "ok.safetensors")))
    assert found.passed is passed
    assert (path in found.reason) is not passed


def test_a_pickle_scan_passes_only_what_was_scanned_and_found_harmless() -> None:
    gate, strict = "pickle_scan = true", 'pickle_scan = "strict"'

    def scanned(*files: ScannedFile, fault: str = "") -> GateSubject:
        return replace(subject(), scan=ScanReport(files, fault))

    unknown = ScannedFile("b.pkl", suspicious=("sklearn.x",), holds_code=True)
    assert result(gate, scanned()).passed
    assert result(gate, scanned(ScannedFile("a.txt"), unknown)).reason == (
        "1 scanned, 1 harmless by content, 0 not scannable; 1 import unknown names"
    )
    assert result(strict, scanned(unknown)).reason == (
        "b.pkl: imports sklearn.x, not known to be harmless (1 scanned, 0 harmless by content, 0 not scannable)"
    )
    assert result(gate, scanned(ScannedFile("a.pkl", dangerous=("os.system",)))).reason.startswith(
        "a.pkl: imports os.system ("
    )
    assert not result(gate, scanned(ScannedFile("a.pkl", fault="it is damaged"))).passed
    assert result(gate, scanned(fault="not installed")).reason == "not installed"
    assert not result(gate, subject()).passed


def test_a_gate_that_is_not_understood_fails() -> None:
    policy = decode_policy(encode({"format": 1, "gates": [{"quorum": 3}, {"pickle_scan": "deep"}]}), what="p")
    assert [(one.passed, "does not understand" in one.reason) for one in judge_gates(policy, subject())] == [
        (False, True),
        (False, True),
    ]


def test_a_gate_may_count_before_some_aliases_only() -> None:
    policy = parse_policy_toml(f'[[gate]]\n{AUC}\naliases = ["production"]\n[[gate]]\n{AUC}', what="p")
    assert len(judge_gates(policy, subject())) == 2
    assert len(judge_gates(policy, subject(), alias=PRODUCTION)) == 2
    assert len(judge_gates(policy, subject(), alias=AliasName("staging"))) == 1


def test_results_have_a_digest_and_short_texts() -> None:
    looked_at = replace(subject(evidence(auc=0.5)), paths=("x" * 1_000,))
    policy = parse_policy_toml(f'[[gate]]\n{AUC}\n[[gate]]\nformats = ["json"]', what="p")
    results = judge_gates(policy, looked_at)
    assert results_digest(results) == results_digest(judge_gates(policy, looked_at))
    assert results_digest(results) != results_digest(results[:1])
    assert max(len(one.reason) for one in results) == 240
    assert set(results[0].to_document()) == {"gate", "passed", "value", "limit", "reason"}
    json.dumps([one.to_document() for one in results], allow_nan=False)


def test_a_hundred_thousand_measurements_are_compared_quickly() -> None:
    many = Evidence(
        "automated", tuple(Metric("auc", 0.9, direction="higher", slice={"n": str(n)}) for n in range(20_000))
    )
    looked_at = against(subject(*itertools.repeat(many, 5)), *itertools.repeat(many, 5))
    assert result(NO_WORSE + '\nslices = "all"', looked_at).passed


NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)
POINTS = st.lists(
    st.builds(
        lambda value, direction, age, data, kind: Evidence(
            kind,
            (Metric("auc", value, direction=direction, slice={"age": age} if age else {}),),
            dataset={"name": data} if data else {},
        ),
        NUMBERS,
        st.sampled_from([None, "higher", "lower"]),
        st.sampled_from(["", "young", "old"]),
        st.sampled_from(["", "fraud"]),
        st.sampled_from(["automated", "safety"]),
    ),
    max_size=5,
)
GATES = st.sampled_from(
    [AUC, AUC + '\nslices = "all"', NO_WORSE, NO_WORSE + '\nslices = "all"', AUC + '\ndataset = "fraud"']
)


@given(POINTS, POINTS, POINTS, GATES)
def test_every_gate_gives_a_verdict_that_agrees_with_its_numbers(
    published: list[Evidence], added: list[Evidence], theirs: list[Evidence], gate: str
) -> None:
    looked_at = against(subject(*published, added=tuple(added)), *theirs)
    found = result(gate, looked_at)
    assert found.reason
    if "at_least" in gate and found.value is not None and found.limit is not None:
        assert found.passed is (found.value >= found.limit)
    shuffled = against(subject(*reversed(published), added=tuple(added)), *reversed(theirs))
    again = result(gate, shuffled)
    assert (found.passed, found.value, found.limit) == (again.passed, again.value, again.limit)


@pytest.mark.parametrize("gate", [AUC, NO_WORSE])
def test_measurements_that_differ_by_next_to_nothing_give_one_answer_in_any_order(gate: str) -> None:
    points = [evidence(auc=value) for value in (0.0, 1e-38, -1e-300, 0.0)]
    orders = itertools.permutations(points)
    assert {result(gate, against(subject(*order), evidence(auc=0.5))).value for order in orders} == {-1e-300}


def test_no_gate_gives_no_result() -> None:
    assert judge_gates(Policy(), subject()) == ()


def test_a_gate_that_names_less_takes_the_worst_of_what_it_matches() -> None:
    one, other = ({"name": "flores", "args": args} for args in ("aaa bbb", "bbb aaa"))
    for version in (
        subject(evidence(dataset=one, auc=0.5), evidence(dataset=other, auc=0.95)),
        subject(added=(evidence(dataset=one, auc=0.5), evidence(dataset=other, auc=0.95))),
        subject(added=(evidence(dataset=one, auc=0.5), evidence("human", dataset=one, auc=0.95))),
    ):
        for gate in (AUC, f'{AUC}\ndataset = "flores"'):
            found = result(gate, version)
            assert (found.passed, found.value) == (False, 0.5)
            assert "on flores aaa bbb" in found.reason
    both = subject(added=(evidence(dataset=one, auc=0.5), evidence(dataset=other, auc=0.95)))
    named = f'{AUC}\ndataset = {{name = "flores", args = "bbb aaa"}}'
    assert result(named, both).passed
    shots = subject(evidence(dataset={"name": "arc", "args": {"shots": 5, "seed": "1"}, "result": 2}, auc=0.95))
    assert result(f"{AUC}\ndataset = {{args = {{seed = 1, shots = 5}}, result = 2}}", shots).passed
    assert not result(f"{AUC}\ndataset = {{args = {{shots = 25}}}}", shots).passed
    again = subject(added=(evidence(dataset=one, auc=0.5), evidence(dataset=one, auc=0.95)))
    assert result(AUC, again).passed, "of the same measurement the newest counts"


def test_a_collapse_on_one_of_two_tasks_is_worse_than_production() -> None:
    one, other = ({"name": "flores", "task": task} for task in ("translation", "copying"))
    before = (evidence(dataset=one, auc=0.9), evidence(dataset=other, auc=0.9))
    after = subject(added=(evidence(dataset=one, auc=0.2), evidence(dataset=other, auc=0.91)))
    found = result(NO_WORSE, against(after, *before))
    assert (found.passed, found.value) == (False, 0.2)
