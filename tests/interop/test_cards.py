"""Is a model card read as the Hub reads it: every text as it stands, and all that tells results apart kept?"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bucketry.errors import UsageError
from bucketry.interop.evidence.files import parse_evidence_file

RESULT = """  - task: {{type: t}}
    dataset: {dataset}
    metrics:
    - {{type: acc, value: {value}}}
"""
HEAD = "model-index:\n- name: m\n  results:\n"


def results(*stated: tuple[str, str]) -> str:
    return HEAD + "".join(RESULT.format(dataset=dataset, value=value) for dataset, value in stated)


def read(card: str | bytes) -> list[dict[str, Any]]:
    body = card if isinstance(card, bytes) else card.encode()
    return [item.to_document() for item in parse_evidence_file(body, what="the card").evidence]


def datasets(card: str) -> list[dict[str, Any]]:
    return [item["dataset"] for item in read(f"---\n{card}---\n")]


ONE = results(("{type: beans}", "0.9"))


@pytest.mark.parametrize(
    "card",
    [
        f"---\n{ONE}---\n\n# Card\n",
        f"---\n{ONE}---",
        f"---\n{ONE}...\n# Card\n",
        f"\n\n  \n---\n{ONE}---\n",
        f"\ufeff---\n{ONE}---\n",
        f"--- \n{ONE}--- \n",
        f"---\n\n{ONE}\n---\n",
        f"---\n{ONE}---\n".replace("\n", "\r\n"),
        f"---\n{ONE}---\n".replace("\n", "\r"),
        f"---\nx: &a [1]\ny: *a\n{ONE}---\n",
        f"---\nwidget: !custom {{a: 1}}\ndate: 2024-02-30\n{ONE}---\n",
    ],
    ids=range(11),
)
def test_where_a_front_matter_begins_and_ends(card: str) -> None:
    assert read(card) == [
        {
            "kind": "automated",
            "metrics": [{"name": "acc", "value": 0.9}],
            "harness": {"name": "model-index"},
            "dataset": {"name": "beans", "task": "t"},
        }
    ]
    assert read(card.removeprefix("\ufeff").encode("utf-16")) == read(card)


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "Off", "true", "1.10", "007", "0x10", "1e-3", "2024-01-01", "12:30:00", "1_000", "null-a"],
)
def test_what_names_the_data_stays_as_it_is_written(text: str) -> None:
    stated = f"{{type: d, config: {text}, split: {text}, revision: {text}, args: {text}}}"
    (found,) = datasets(results((stated, "1")))
    assert found == {"name": "d", "task": "t", "config": text, "split": text, "version": text, "args": text}


def test_what_is_empty_is_not_there() -> None:
    (found,) = datasets(results(("{type: d, config: null, split: ~, revision: , args: {}}", "1")))
    assert found == {"name": "d", "task": "t"}
    (found,) = datasets(results(("{type: d, config: 'null'}", "1")))
    assert found["config"] == "null"


@pytest.mark.parametrize(
    ("written", "value"), [("1e-3", 0.001), ("1.", 1.0), (".5", 0.5), ("+3", 3.0), ("'0.91'", 0.91)]
)
def test_numbers_are_those_of_yaml_1_2(written: str, value: float) -> None:
    (found,) = read(f"---\n{results(('{type: d}', written))}---\n")
    assert found["metrics"][0]["value"] == value


def test_all_that_tells_results_apart_is_part_of_the_data() -> None:
    card = """model-index:
- name: m
  results:
  - task: {type: translation}
    dataset: {type: flores, name: Flores, args: aaa bbb devtest}
    metrics: [{type: bleu, value: 25.5}, {type: bleu, value: 24.5, args: {max_order: 2}}]
  - task: {type: translation, name: Zero-shot}
    dataset: {type: flores, name: Flores, args: {source: bbb, target: aaa}, language: de}
    metrics: [{type: bleu, name: Test BLEU, value: 28.3}]
  - task: {type: summarization}
    dataset: {type: cv, name: CV fr}
    metrics: [{type: wer, value: 1}]
  - task: {type: summarization}
    dataset: {type: cv, name: CV de}
    metrics: [{type: wer, value: 2}]
"""
    found = read(f"---\n{card}---\n")
    assert [item["dataset"] for item in found] == [
        {"name": "flores", "task": "translation", "args": "aaa bbb devtest"},
        {"name": "flores", "task": "translation", "args": "aaa bbb devtest", "metric": "max_order=2"},
        {"name": "flores", "task": "translation Zero-shot", "args": "source=bbb, target=aaa, language=de"},
        {"name": "cv", "title": "CV fr", "task": "summarization"},
        {"name": "cv", "title": "CV de", "task": "summarization"},
    ]
    assert [item["metrics"][0]["value"] for item in found] == [25.5, 24.5, 28.3, 1, 2]


def test_anchors_and_merges_are_read_as_what_they_stand_for() -> None:
    card = """base: &base {type: d, split: test}
model-index:
- name: m
  results:
  - dataset: {<<: *base, config: a}
    metrics: &metrics [{type: acc, value: 1}]
  - dataset: {<<: *base, split: dev}
    metrics: *metrics
"""
    assert datasets(card) == [{"name": "d", "config": "a", "split": "test"}, {"name": "d", "split": "dev"}]


def test_aliases_that_stand_for_too_much_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    bomb = "\n".join([*lines, "model-index: *a8", ""])
    with pytest.raises(UsageError, match="stands for more than 500,000 values"):
        read(f"---\n{bomb}---\n")
    with pytest.raises(UsageError, match="deeper than 32"):
        read("---\nmodel-index: &a [*a]\n---\n")


VALUES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(),
    st.booleans(),
    st.none(),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(["7.1%", "275.34 +/- 14.56", "N/A", "1e-3", "2024-01-01"]),
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e"]), VALUES, max_size=5))
def test_of_any_mixture_of_values_the_good_ones_are_kept(values: dict[str, object]) -> None:
    metrics = [{"type": name, "value": value} for name, value in values.items()]
    metrics.append({"type": "good", "value": 0.5})
    document = {"model-index": [{"name": "m", "results": [{"dataset": {"type": "d"}, "metrics": metrics}]}]}
    body = f"---\n{yaml.safe_dump(document, allow_unicode=True)}---\n".encode()
    file = parse_evidence_file(body, what="x")
    kept = [metric for item in file.evidence for metric in item.metrics]
    assert kept[-1].name == "good"
    assert len(kept) + len(file.left_out) == len(metrics)
