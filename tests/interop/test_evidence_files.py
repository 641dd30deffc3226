"""Does each format say what it says, whatever the file is called, and does each fault name its place?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.errors import UsageError
from bucketry.interop.evidence.files import parse_evidence_file
from bucketry.schema.documents.evidence import MOST_METRICS

SAMPLES = Path(__file__).parent / "samples"

HARNESS = {"name": "lm-evaluation-harness", "version": "0.4.9"}
AT = "2026-09-21T14:13:20.250Z"


def documents(body: bytes) -> list[dict[str, Any]]:
    return [item.to_document() for item in parse_evidence_file(body, what="x").evidence]


def read(name: str) -> list[dict[str, Any]]:
    return documents((SAMPLES / name).read_bytes())


def fault(body: bytes | str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_evidence_file(body if isinstance(body, bytes) else body.encode(), what="the file")
    assert caught.value.advice
    return caught.value.message


def test_plain_values_are_automated_evidence() -> None:
    metrics = [{"name": "auc", "value": 0.91}, {"name": "p95_ms", "value": 12}]
    assert read("plain.json") == [{"kind": "automated", "metrics": metrics}]


def test_our_own_document_comes_back_whole() -> None:
    assert read("ours.json") == [json.loads((SAMPLES / "ours.json").read_bytes())]


def test_a_list_of_documents_is_as_many_evaluations() -> None:
    body = b'[{"auc": 1}, {"kind": "safety", "metrics": [{"name": "toxicity", "value": 0.1}]}]'
    assert [item["kind"] for item in documents(body)] == ["automated", "safety"]


def test_each_task_of_the_harness_is_an_evaluation_on_its_data() -> None:
    found = {item["dataset"]["name"]: item for item in read("lm_eval_results.json")}
    assert list(found) == ["hellaswag", "gsm8k", "wikitext", "mmlu", "mmlu_virology"]
    hellaswag = found["hellaswag"]
    assert (hellaswag["harness"], hellaswag["at"]) == (HARNESS, AT)
    assert hellaswag["dataset"] == {
        "name": "hellaswag",
        "version": "1.0",
        "split": "validation",
        "path": "Rowan/hellaswag",
        "shots": 0,
    }
    first, second = hellaswag["metrics"]
    assert {name: first[name] for name in ("name", "value", "direction", "samples")} == {
        "name": "acc",
        "value": 0.6103,
        "direction": "higher",
        "samples": 10042,
    }
    assert first["confidence"] == {
        "low": pytest.approx(0.6103 - 1.96 * 0.0049, abs=1e-5),
        "high": pytest.approx(0.6103 + 1.96 * 0.0049, abs=1e-5),
        "level": 0.95,
    }
    assert second["name"] == "acc_norm"


def test_filters_directions_and_absent_errors_of_the_harness() -> None:
    found = {item["dataset"]["name"]: item["metrics"] for item in read("lm_eval_results.json")}
    assert [metric["name"] for metric in found["gsm8k"]] == ["exact_match,strict-match", "exact_match,flexible-extract"]
    assert {metric["direction"] for metric in found["gsm8k"]} == {"higher"}
    assert found["wikitext"] == [{"name": "word_perplexity", "value": 12.41, "direction": "lower", "samples": 62}]
    assert found["mmlu"][0]["value"] == 0.4451
    assert "samples" not in found["mmlu"][0]


def test_old_results_of_the_harness_have_no_filters() -> None:
    first, second = read("lm_eval_results_0_3.json")
    assert [metric["name"] for metric in first["metrics"]] == ["acc", "acc_norm"]
    assert first["metrics"][1]["confidence"]["high"] == pytest.approx(0.58 + 1.96 * 0.0049, abs=1e-5)
    assert (second["dataset"], second["metrics"][0]["name"]) == ({"name": "lambada_openai", "version": "0"}, "ppl")


def test_the_results_of_a_model_card() -> None:
    speech, emotion = read("model_card.md")
    assert speech == {
        "kind": "automated",
        "metrics": [{"name": "wer", "value": 11.03}],
        "harness": {"name": "model-index", "uri": "https://example.org/results"},
        "dataset": {
            "name": "mozilla-foundation/common_voice_11_0",
            "config": "fr",
            "task": "automatic-speech-recognition",
            "version": "76da7696c49ebee8be7f521faa76ae99189bda34",
            "split": "test",
        },
    }
    assert [metric["name"] for metric in emotion["metrics"]] == ["accuracy", "Macro F1", "Micro F1"]


def test_a_card_with_windows_line_ends() -> None:
    body = (SAMPLES / "model_card.md").read_bytes().replace(b"\n", b"\r\n")
    assert documents(body) == read("model_card.md")


def test_of_mlflow_the_newest_step_counts_and_data_sets_stay_apart() -> None:
    plain, held_out = read("mlflow_run.json")
    assert plain["metrics"] == [{"name": "auc", "value": 0.91}, {"name": "loss", "value": 0.31}]
    assert held_out["dataset"] == {"name": "held-out", "digest": "9a8b7c6d"}
    assert read("mlflow_history.json")[0]["metrics"] == [{"name": "auc", "value": 0.93}]


def test_a_history_is_read_in_any_order() -> None:
    items = json.loads((SAMPLES / "mlflow_history.json").read_bytes())
    for order in (items, items[::-1], {"metrics": items[1:] + items[:1]}):
        (evidence,) = parse_evidence_file(json.dumps(order).encode(), what="x").evidence
        assert evidence.metrics[0].value == 0.93


def test_rows_of_a_table_on_the_same_data_are_one_evaluation() -> None:
    fraud, red_team = read("metrics.csv")
    assert fraud["dataset"] == {"name": "fraud", "version": "2026-10", "split": "test"}
    assert fraud["metrics"][1] == {
        "name": "auc",
        "value": 0.881,
        "direction": "higher",
        "slice": {"age": "18-25"},
        "confidence": {"low": 0.86, "high": 0.902, "level": 0.95},
        "samples": 3120,
    }
    assert fraud["metrics"][2] == {"name": "p95", "value": 41.7, "unit": "ms", "direction": "lower"}
    assert (red_team["kind"], red_team["dataset"]) == ("safety", {"name": "red team, round 2"})


def test_a_table_saved_by_a_spreadsheet_has_a_mark_and_windows_line_ends() -> None:
    body = b"\xef\xbb\xbf" + (SAMPLES / "metrics.csv").read_bytes().replace(b"\n", b"\r\n")
    assert documents(body) == read("metrics.csv")


def card(metrics: str) -> str:
    return f"---\nmodel-index:\n- name: x\n  results:\n  - dataset: {{type: d}}\n    metrics: {metrics}\n---\n"


REFUSED = [
    ('{"auc": NaN}', "the file has no metric that can be compared: auc is nan"),
    ('{"auc": 1e999}', "auc is inf, which cannot be compared"),
    ('{"auc": true}', "auc is true, not a number"),
    ('{"auc": null}', "auc is empty, not a number"),
    ('{"auc": 1, "auc": 2}', "the key 'auc' stands twice in one object"),
    ('{"metrics": [{"name": "a", "value": 1}, {"name": "a", "value": 2}]}', "'a' stands twice with the same slice"),
    (
        (
            '{"metrics": [{"name": "a", "value": 1, "slice": {"x": "1", "y": "2"}},'
            '{"name": "a", "value": 2, "slice": {"y": "2", "x": "1"}}]}'
        ),
        "'a' stands twice with the same slice",
    ),
    ('{"metrics": [{"name": "a", "value": 1, "slice": {"age": ""}}]}', "a slice has at most"),
    ('{"metrics": [{"name": "a", "value": 1, "slice": {"age": 5}}]}', "has a slice that is no table of texts"),
    ('{"metrics": [{"name": "", "value": 1}]}', "name has 1 to 128 characters"),
    ('{"kind": "rumour", "metrics": []}', "kind is not one of automated, human, safety"),
    ('{"metrics": [{"name": "a", "value": 1}], "at": "yesterday"}', "the file: at: "),
    ("[1]", "item 1 is not a JSON object"),
    ("[]", "not a list of 1 to 1,000 evaluations"),
    ("{}", "the file has no metric"),
    ('"0.9"', "of no format that is known: it begins with '\"0.9\"'"),
    ("0.9", "of no format that is known: it begins with '0.9'"),
    ("loss went down nicely", "of no format that is known: it begins with 'loss went down nicely'"),
    ("", "the file is empty"),
    (b"\xef\xbb\xbf \n", "the file is empty"),
    ("{'auc': 0.91}", "begins like JSON, but is none: line 1, column 2"),
    ('{"auc": 0.91}\n{"auc": 0.92}\n', "has several JSON documents, one on each line"),
    ("[tool]\nname = 1\n", "begins like JSON, but is none"),
    (b"PK\x03\x04\0\0", "the file is a zip archive"),
    (b"\x80\x04\x95", "the file is a pickle"),
    (b"auc\0\xff\0", "is not UTF-8 text (byte 4)"),
    ('{"auc": "\\ud800", "b": 1}', "lone surrogate"),
    ('[{"key": "a", "value": "x"}]', "metric 'a' is 'x', not a number"),
    ('[{"key": "a", "value": 1, "step": "last"}]', "metrics[0] ('a') has a step that is not a whole number"),
    ("name,value\na,nan\n", "line 2 ('a') is 'nan', not a number"),
    ("name,value\na,1e9999\n", "line 2 ('a') is 1e9999"),
    ("name,value\na,1_000\n", "line 2 ('a') is '1_000'"),
    ("name,value\na,\n", "line 2 ('a') is empty"),
    ("name,value\n,1\n", "line 2 ('') has no name"),
    ("name,value\na,1,2\n", "line 2 has 3 cells, not 2"),
    ("name,value,colour\na,1,red\n", "column 'colour' is not known"),
    ("name,value,value\na,1,1\n", "a column stands twice"),
    ("name,value\na,1\na,2\n", "'a' stands twice"),
    ('name,value\n"a,1\n', "is not CSV"),
    (b"name,value\n\xff,1\n", "is not UTF-8 text"),
    (card("[{type: a, value: .nan}]"), "model-index[0].results[0].metrics[0] ('a') is '.nan', not a number"),
    (card("[{type: a, value: yes}]"), "is 'yes', not a number"),
    (card("3"), "model-index[0].results[0].metrics is not a list"),
    (card("[{type: a, type: b, value: 1}]"), "metrics[0].type stands twice"),
    ("---\na: !!python/object/apply:os.system [x]\n---\n", "a model card without model-index"),
    ("---\na: [\n---\n", "the front matter is not valid YAML"),
    ("---\nlicense: mit\n---\n", "a model card without model-index"),
    ("---\na: 1\n", "its front matter has no end"),
    ("---\na: " + "[" * 40 + "]" * 40 + "\n---\n", "deeper than 32 levels"),
    ("[" * 100 + "]" * 100, "nested deeper than"),
    ("[" * 100_000, "nested deeper than"),
]


@pytest.mark.parametrize(("body", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_a_file_without_any_value_is_a_usage_error_that_names_the_place(body: str | bytes, said: str) -> None:
    assert said in fault(body)


LEFT_OUT = [
    ('{"auc": 0.91, "loss": NaN}', "loss is nan, which cannot be compared"),
    ('{"auc": 0.91, "loss": -Infinity}', "loss is -inf, which cannot be compared"),
    ('{"auc": 0.91, "curve": [1, 2]}', "curve is a list, not a number"),
    ('{"auc": 0.91, "model": "bert"}', "model is 'bert', not a number"),
    ('{"auc": 0.91, "ok": true}', "ok is true, not a number"),
    ('{"auc": 0.91, "loss": null}', "loss is empty, not a number"),
    ('{"auc": 0.91, "acc_stderr": 0.01}', "acc_stderr is the standard error of a metric that is not there"),
    ('{"metrics": [{"name": "auc", "value": 0.91}, {"name": "b", "value": false}]}', "metrics[1] ('b') is false"),
    ('{"metrics": [{"name": "auc", "value": 0.91}, 7]}', "metrics[1] is not a metric with a name"),
    ('{"metrics": [{"name": "auc", "value": 0.91, "direction": "up"}]}', "direction is 'up', neither 'higher' nor"),
    ('{"metrics": [{"name": "auc", "value": 0.91, "confidence": {"low": 2, "high": 1}}]}', "low is above high"),
    ('{"metrics": [{"name": "auc", "value": 0.91, "confidence": {"low": 2}}]}', "low and high go together"),
    ('{"metrics": [{"name": "auc", "value": 0.91, "confidence": {"low": 0, "high": 1, "level": 95}}]}', "level is not"),
    ('{"metrics": [{"name": "auc", "value": 0.91, "samples": -1}]}', "samples is -1, not a whole number"),
    ('{"metrics": [{"name": "auc", "value": 0.91, "deviation": -1}]}', "deviation is negative"),
    ('[{"auc": 0.91}, {"loss": "x"}]', "[2].loss is 'x', not a number"),
    ('{"results": {"t": {"auc,none": 0.91, "b,none": "high"}}}', "results.t.b,none is 'high', not a number"),
    ('{"results": {"t": {"auc,none": 0.91, "auc_stderr,none": -1}}}', "results.t.auc_stderr is negative"),
    ('{"results": {"t": {"auc,none": 0.91, "auc_stderr,none": NaN}}}', "results.t.auc_stderr is nan"),
    ('[{"key": "auc", "value": 0.91}, {"value": 1}]', "metrics[1] has no key"),
    ('[{"key": "auc", "value": 0.91}, {"key": "l", "value": 1}, {"key": "l", "value": NaN, "step": 2}]', "'l' is nan"),
    ("name,value\nauc,0.91\nb,inf\n", "line 3 ('b') is 'inf', not a number"),
    ("name,value,low\nauc,0.91,0\n", "line 2 ('auc'): the interval is empty, not a number: low and high go together"),
    ("name,value,samples\nauc,0.91,many\n", "line 2 ('auc'): samples is 'many', not a number"),
    (card("[{type: auc, value: 0.91}, {type: b, value: [1]}]"), "metrics[1] ('b') is a list, not a number"),
    ('{"auc": 0.91, "f\\u00001": 0.5}', "f\\x001 has in its name a control character"),
    ('{"auc": 0.91, "f\\u20281": 0.5}', "has in its name"),
    (
        '[{"auc": 0.91}, {"metrics": [{"name": "f1", "value": 1}], "dataset": {"name": "a\\nb"}}]',
        "has in the name of the data",
    ),
    (
        '{"metrics": [{"name": "auc", "value": 0.91}, {"name": "a", "value": 1, "slice": {"\\u001b": "x"}}]}',
        "of a slice",
    ),
    (card("[{type: auc, value: 0.91}, b]"), "model-index[0].results[0].metrics[1] is not a table"),
]


@pytest.mark.parametrize(("body", "said"), LEFT_OUT, ids=[said for _, said in LEFT_OUT])
def test_one_unusable_value_is_left_out_by_name_and_the_rest_is_read(body: str, said: str) -> None:
    file = parse_evidence_file(body.encode(), what="the file")
    (note,) = file.left_out
    assert said in note
    assert [(one.name, one.value) for item in file.evidence for one in item.metrics] == [("auc", 0.91)]


@pytest.mark.parametrize(
    ("written", "value", "unit", "deviation"),
    [
        ("0.91", 0.91, None, None),
        ("1e-3", 0.001, None, None),
        (" -.5 ", -0.5, None, None),
        ("7.1%", 7.1, "%", None),
        ("275.34 +/- 14.56", 275.34, None, 14.56),
        ("20.0 ± 1.2", 20.0, None, 1.2),
        ("(-3.5 +/- 0.5)", -3.5, None, 0.5),
        ("92.1% ± 0.4%", 92.1, "%", 0.4),
        ("92.1 ± 0.4 %", 92.1, "%", 0.4),
        ("92.1 (± 0.4)", 92.1, None, 0.4),
        ("(92.1 ± 0.4)%", 92.1, "%", 0.4),
    ],
)
def test_a_number_as_people_write_it(written: str, value: float, unit: str | None, deviation: float | None) -> None:
    for body in (json.dumps({"x": written}), card(f"[{{type: x, value: {json.dumps(written)}}}]")):
        (metric,) = parse_evidence_file(body.encode(), what="x").evidence[0].metrics
        assert (metric.value, metric.unit, metric.deviation, metric.confidence) == (value, unit, deviation, None)
    for other in ("1,234", "3 of 5", "0.9 (n=5)", "1/2", "--1", "0x1f", "٣"):
        assert "not a number" in fault(json.dumps({"x": other}))


def test_results_of_one_file_with_the_same_key_are_kept_in_their_order() -> None:
    first, second = documents(card("[{type: a, value: 1}, {type: a, value: 2}]").encode())
    assert [(one["dataset"]["result"], one["metrics"][0]["value"]) for one in (first, second)] == [(1, 1), (2, 2)]
    (only,) = documents(card("[{type: a, value: 1}, {type: a, value: 1}]").encode())
    assert "result" not in only["dataset"]
    raters = [{"kind": "human", "by": name, "metrics": [{"name": "q", "value": 4}]} for name in ("ada", "rb")]
    assert [(one["by"], one["dataset"]["result"]) for one in documents(json.dumps(raters).encode())] == [
        ("ada", 1),
        ("rb", 2),
    ]


def test_too_much_is_refused() -> None:
    assert f"or {MOST_METRICS:,} metrics" in fault(json.dumps({f"m{n}": n for n in range(MOST_METRICS + 1)}))
    assert "is larger than" in fault(b" " * (8 * 1024 * 1024) + b"{}")
    assert "more than" in fault("name,value\n" + "".join(f"m{n},1\n" for n in range(MOST_METRICS + 2)))
    assert "larger than" in fault("---\na: " + "x" * (2 * 1024 * 1024) + "\n---\n")


@given(
    st.one_of(
        st.binary(max_size=200),
        st.sampled_from([b"{", b"[", b"---\n", b"name,value\n"]).flatmap(
            lambda start: st.binary(max_size=200).map(lambda rest: start + rest)
        ),
    )
)
def test_no_file_is_anything_but_evidence_or_a_usage_error(body: bytes) -> None:
    assert is_read_or_refused(body)


def is_read_or_refused(body: bytes) -> bool:
    try:
        found = parse_evidence_file(body, what="x")
    except UsageError as error:
        return error.message.startswith("x")
    return bool(found.evidence)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["metrics", "results", "run", "data", "key", "value", "name", "acc,none", "configs", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_no_json_is_anything_but_evidence_or_a_usage_error(value: object) -> None:
    assert is_read_or_refused(json.dumps(value).encode())
