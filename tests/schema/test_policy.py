from __future__ import annotations

from typing import get_args

import pytest

from bucketry.errors import CorruptError, RejectedError, UsageError
from bucketry.schema.codec import encode
from bucketry.schema.documents.gates import (
    CardSections,
    EvidenceCount,
    Formats,
    Gate,
    MetricSelection,
    MetricThreshold,
    NoWorse,
    PickleScan,
    UnknownGate,
    gate_text,
)
from bucketry.schema.documents.policy import DEFAULT_POLICY, Policy, decode_policy, encode_policy, parse_policy_toml
from bucketry.schema.judging.policy_changes import policy_changes
from bucketry.schema.names import AliasName

PRODUCTION = AliasName("production")
WHOLE = """
approvals_required = 2
separate_duties = true
protected_aliases = ["production"]
signatures = "required"
headline_metrics = ["auc", "recall", "p95_ms"]
reviewers = ["*@example.org", "ada@elsewhere.org"]
approval_expires_days = 90

[[gate]]
metric = "auc"
dataset = "fraud-2026-10"
at_least = 0.90

[[gate]]
metric = "recall"
no_worse_than = "production"
tolerance = 0.005
slices = "all"

[[gate]]
evidence = "safety"
at_least = 1

[[gate]]
metric = "toxicity"
evidence = "safety"
at_most = 0.02
dataset = {name = "prompts", version = "3"}
slice = {language = "en"}
aliases = ["production"]

[[gate]]
card_sections = ["Intended use", "Limitations"]

[[gate]]
formats = [".safetensors", "JSON", "*.md"]

[[gate]]
pickle_scan = true
"""
VALUE = Policy(
    approvals_required=2,
    separate_duties=True,
    protected_aliases=(PRODUCTION,),
    signatures="required",
    headline_metrics=("auc", "recall", "p95_ms"),
    reviewers=("*@example.org", "ada@elsewhere.org"),
    approval_expires_days=90,
    gates=(
        MetricThreshold(MetricSelection("auc", {"name": "fraud-2026-10"}), at_least=0.9),
        NoWorse(MetricSelection("recall", every_slice=True), PRODUCTION, 0.005),
        EvidenceCount("safety", 1),
        MetricThreshold(
            MetricSelection("toxicity", {"name": "prompts", "version": "3"}, {"language": "en"}, evidence="safety"),
            at_most=0.02,
            aliases=(PRODUCTION,),
        ),
        CardSections(("Intended use", "Limitations")),
        Formats(("safetensors", "json", "md")),
        PickleScan(),
    ),
)


def parse(text: str) -> Policy:
    return parse_policy_toml(text, what="p.toml")


def parse_gate(text: str) -> object:
    (gate,) = parse(f"[[gate]]\n{text}").gates
    return gate


def test_a_policy_file_says_what_it_says() -> None:
    assert parse(WHOLE) == VALUE


def test_every_gate_of_the_union_can_be_written_in_a_policy_file() -> None:
    written = {type(gate) for gate in parse_policy_toml(WHOLE, what="policy.toml").gates}

    assert written == set(get_args(Gate)) - {UnknownGate}


def test_a_policy_comes_back_from_its_document() -> None:
    body = encode_policy(VALUE)
    assert decode_policy(body, what="policy") == VALUE
    assert encode_policy(decode_policy(body, what="policy")) == body


def test_a_document_says_only_what_was_set() -> None:
    policy = parse("approvals_required = 0")
    assert encode_policy(policy) == b'{"approvals_required":0,"format":1}'
    assert decode_policy(encode_policy(policy), what="policy") == policy
    assert encode_policy(parse("")) == b'{"format":1}'


def test_what_is_set_overrides_the_default_key_by_key() -> None:
    own = parse('approvals_required = 0\nsignatures = "optional"')
    held = own.over(VALUE)
    assert (held.approvals_required, held.signatures) == (0, "optional")
    assert (held.separate_duties, held.reviewers, held.gates) == (True, VALUE.reviewers, VALUE.gates)
    assert held.approval_expires_days == 90
    assert own.over(DEFAULT_POLICY).approval_expires_days is None


def test_gates_are_never_merged_and_can_be_taken_away() -> None:
    one = parse('[[gate]]\nmetric = "f1"\nat_least = 0.5').over(VALUE)
    assert one.gates == (MetricThreshold(MetricSelection("f1"), 0.5),)
    assert parse("gate = []").over(VALUE).gates == ()
    assert parse("approval_expires_days = 0").over(VALUE).approval_expires_days is None


def test_a_policy_made_by_hand_sets_everything() -> None:
    assert Policy().over(VALUE) == Policy()


def test_nothing_is_required_by_default() -> None:
    assert parse("").over(DEFAULT_POLICY).approvals_required == 0
    assert not DEFAULT_POLICY.protects(PRODUCTION)
    assert VALUE.protects(PRODUCTION)


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        ("aprovals_required = 1", 'unknown key "aprovals_required"', "write approvals_required"),
        ("zzz = 1", 'unknown key "zzz"', "approvals_required, separate_duties"),
        ("unset = 1", 'unknown key "unset"', ""),
        ("approvals_required = -1", "approvals_required is not a whole number from 0 to 100", ""),
        ("approvals_required = true", "approvals_required is not a whole number", ""),
        ("separate_duties = 1", "separate_duties is not true or false", ""),
        ('signatures = "maybe"', 'signatures is not "optional" or "required"', ""),
        ('protected_aliases = ["Production"]', '"Production" is not an alias', "start with a letter"),
        ('protected_aliases = "production"', "protected_aliases is not a list", ""),
        ('headline_metrics = ["a","b","c","d","e","f","g","h","i"]', "headline_metrics is not a list of at most 8", ""),
        ('headline_metrics = ["a", "a"]', 'headline_metrics names "a" twice', "once"),
        ('reviewers = ["[abc]@example.org"]', "neither a principal nor a pattern", "use *"),
        ("approval_expires_days = 1.5", "approval_expires_days is not a whole number", ""),
        ("gate = 3", "the gates are not a list", "[[gate]]"),
        ("[gate]\nmetric = 'a'", "the gates are not a list", "[[gate]]"),
        ("gate = []\ngates = []", "both gate and gates", ""),
        ("approvals_required = ", "p.toml is not TOML", ""),
        ("x = " + "[" * 20_000, "p.toml is not TOML", ""),
        ("#" + "x" * 70_000, "larger than 65,536 bytes", ""),
        ('"\\u001b" = 1', '"\\x1b"', ""),
    ],
)
def test_a_mistake_in_a_policy_is_named(text: str, message: str, advice: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert message in caught.value.message
    assert advice in caught.value.advice
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        ("", "gate 1 states no rule", "no_worse_than, metric"),
        ('metric = "a"', "gate 1 sets no limit", "at_least, at_most or no_worse_than"),
        ('metric = "a"\nat_lest = 1', 'gate 1 has the unknown key "at_lest"', "write at_least"),
        ('metric = "a"\nat_least = 1\nat_most = 0.5', "at_least is above at_most", ""),
        ('metric = "a"\nat_least = 1\ntolerance = 0.1', "both metric and tolerance", ""),
        ('metric = "a"\nno_worse_than = "production"\nat_least = 1', "both no_worse_than and at_least", ""),
        ('no_worse_than = "production"', "not which metric", "add metric"),
        ('metric = "a"\nno_worse_than = "production"\ntolerance = -1', "tolerance is below zero", ""),
        ('metric = "a"\nno_worse_than = "production"\ndirection = "up"', 'direction is not "higher" or "lower"', ""),
        ('metric = "a"\nno_worse_than = "v1"', '"v1" is not an alias', ""),
        ('metric = "a"\nat_least = nan', "at_least is not a finite number", ""),
        ('metric = "a"\nat_least = inf', "at_least is not a finite number", ""),
        ('metric = "a"\nat_least = 9007199254740993', "at_least is not a finite number", ""),
        ('metric = "a"\nat_least = true', "at_least is not a number", ""),
        ('metric = "a"\nat_least = "0.9"', "at_least is not a number", ""),
        ('metric = ""\nat_least = 1', "metric is not a text", ""),
        ('metric = "a"\nat_least = 1\nslice = {a = "b"}\nslices = "all"', "both slice and slices", ""),
        ('metric = "a"\nat_least = 1\nslices = "some"', 'slices is not "all"', ""),
        ('metric = "a"\nat_least = 1\nslice = {a = 1}', "slice: a is not a text", ""),
        ('metric = "a"\nat_least = 1\ndataset = {nmae = "x"}', 'unknown key "nmae"', "write name"),
        ('metric = "a"\nat_least = 1\ndataset = {}', "not a dataset's name", ""),
        ('evidence = "safety"', "how many evaluations", "at_least = 1"),
        ('evidence = "safty"\nat_least = 1', "evidence is not", ""),
        ('evidence = "safety"\nat_least = 0', "at_least is not a whole number from 1", ""),
        ('evidence = "safety"\nat_least = 0.5', "at_least is not a whole number", ""),
        ("card_sections = []", "card_sections is not a list of at least one", ""),
        ('card_sections = ["a"]\nformats = ["b"]', "both card_sections and formats", "two gates"),
        ('formats = ["*"]', '"*" is not the suffix', ""),
        ('formats = ["a/b"]', '"a/b" is not the suffix', ""),
        ("pickle_scan = false", "pickle_scan is neither true", "leave the gate out"),
        ('pickle_scan = true\naliases = ["latest"]', '"latest" is not an alias', ""),
    ],
)
def test_a_mistake_in_a_gate_is_named(text: str, message: str, advice: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_gate(text)
    assert message in caught.value.message
    assert caught.value.message.startswith("p.toml: gate 1")
    assert advice in caught.value.advice


def test_a_range_is_one_gate() -> None:
    assert parse_gate('metric = "a"\nat_least = 1\nat_most = 2') == MetricThreshold(MetricSelection("a"), 1, 2)
    assert parse_gate('pickle_scan = "strict"') == PickleScan(strict=True)


def test_unknown_fields_of_a_policy_survive() -> None:
    body = encode({"format": 1, "approvals_required": 1, "x-newer": {"nested": [1, None, "text"]}})
    assert encode_policy(decode_policy(body, what="policy")) == body


@pytest.mark.parametrize(
    "gate",
    [
        {"metric": "auc", "at_least": 0.9, "samples_at_least": 100},
        {"quorum": 3},
        {"pickle_scan": "deep"},
        {},
        {"metric": "auc", "at_least": "much"},
    ],
)
def test_a_gate_of_a_newer_program_is_kept(gate: dict[str, object]) -> None:
    body = encode({"format": 1, "gates": [gate]})
    policy = decode_policy(body, what="policy")
    assert isinstance(policy.gates[0], UnknownGate)
    assert encode_policy(policy) == body


@pytest.mark.parametrize(
    "document",
    [
        {"approvals_required": "2"},
        {"signatures": "quorum"},
        {"gates": {}},
        {"gates": ["auc"]},
        {"gates": [{"pickle_scan": True}] * 65},
        {"reviewers": [3]},
    ],
)
def test_a_document_that_is_no_policy_is_corrupt(document: dict[str, object]) -> None:
    with pytest.raises(CorruptError, match="policy"):
        decode_policy(encode({"format": 1} | document), what="policy")


def test_a_policy_has_at_most_64_gates_and_64_kib() -> None:
    with pytest.raises(UsageError, match="at most 64"):
        parse("[[gate]]\npickle_scan = true\n" * 65)
    long = Policy(gates=tuple(CardSections(tuple(f"{n}{'x' * 250}" for n in range(64))) for _ in range(5)))
    with pytest.raises(RejectedError, match="65,536"):
        encode_policy(long)


def test_gates_read_as_sentences() -> None:
    assert [gate_text(gate) for gate in VALUE.gates] == [
        "auc >= 0.9 on fraud-2026-10",
        "recall no worse than production by more than 0.005 in every slice",
        "safety evidence >= 1",
        "toxicity <= 0.02 on prompts 3 for language=en by safety evidence (before production)",
        "card has Intended use, Limitations",
        "only safetensors, json, md files",
        "pickle scan",
    ]


def test_a_change_of_policy_is_told_key_by_key_and_gate_by_gate() -> None:
    before = parse('approvals_required = 1\nsignatures = "optional"\n[[gate]]\npickle_scan = true')
    after = parse('approvals_required = 2\nseparate_duties = true\n[[gate]]\npickle_scan = "strict"')
    assert sorted(change.text for change in policy_changes(before, after)) == [
        "approvals_required changed from 1 to 2",
        "gate added: strict pickle scan",
        "gate removed: pickle scan",
        "separate_duties set to yes",
        "signatures no longer set, was optional",
    ]
    assert policy_changes(after, after) == ()
    assert [change.text for change in policy_changes(None, parse("gate = []"))] == ["gate added: none"]
    days = policy_changes(parse("approval_expires_days = 90"), parse("approval_expires_days = 0"))
    assert [change.text for change in days] == ["approval_expires_days changed from 90 to never"]


def test_a_number_of_thousands_of_digits_is_a_mistake_in_the_file() -> None:
    with pytest.raises(UsageError, match="not TOML"):
        parse_policy_toml(f"approvals_required = {'1' * 5_000}", what="p")
