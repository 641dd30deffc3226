"""Is a table read whatever program saved it, and is a number in it never taken for another?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.errors import UsageError
from bucketry.interop.evidence.files import EvidenceFile, parse_evidence_file


def parse(text: str | bytes) -> EvidenceFile:
    return parse_evidence_file(text if isinstance(text, bytes) else text.encode(), what="the table")


def values(text: str | bytes) -> dict[str, float]:
    return {metric.name: metric.value for item in parse(text).evidence for metric in item.metrics}


def fault(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse(text)
    return caught.value.message


PLAIN = "name,value\nauc,0.91\nloss,0.3\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.replace(",", ";").replace(".", ","),
        PLAIN.replace(",", "\t").replace(".", ","),
        'name,value\nauc,"0,91"\nloss,"0,3"\n',
        "sep=;\n" + PLAIN.replace(",", ";"),
        '"sep=,"\r\n' + PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("name", "metric"),
        PLAIN.replace("name,value", "Metric, Score"),
        "auc,loss\n0.91,0.3\n",
        "auc;loss\n0,91;0,3\n",
        ",auc,loss\n0,0.91,0.3\n",
        ",name,value\n0,auc,0.91\n1,loss,0.3\n",
        ",value\nauc,0.91\nloss,0.3\n",
        ",0\nauc,0.91\nloss,0.3\n",
        "epoch,auc,loss\n1,0.5,0.9\n2,0.91,0.3\n",
        "step,metric,value\n9,auc,0.5\n10,auc,0.91\n10,loss,0.3\n",
        "\n\nname,value\nauc,0.91\n\nloss,0.3\n",
        PLAIN.replace("\n", "\r"),
    ],
    ids=range(21),
)
def test_a_table_as_programs_save_it(text: str) -> None:
    for body in (text.encode(), b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16"), text.encode("utf-16-le")):
        assert values(body) == {"auc": 0.91, "loss": 0.3}, body
    assert values(b"\xfe\xff" + text.encode("utf-16-be")) == {"auc": 0.91, "loss": 0.3}


@pytest.mark.parametrize(
    ("text", "kept", "left_out"),
    [
        ("name;value\na;0,5\nb;1,234\n", {"a": 0.5, "b": 1.234}, 0),
        ("name;value\na;0,5\nb;1.5\n", {"b": 1.5}, 1),
        ("name;value\na;5\nb;1,234\n", {"a": 5.0}, 1),
        ("name;value\na;5\nb;1.234,5\n", {"a": 5.0}, 1),
        ("name;value;version\na;0,5;1.0\n", {"a": 0.5}, 0),
        ("name;value;samples\na;12,5%;10\n", {"a": 12.5}, 0),
    ],
)
def test_a_comma_is_a_decimal_comma_only_where_that_is_sure(text: str, kept: dict[str, float], left_out: int) -> None:
    file = parse(text)
    assert values(text) == kept
    assert len(file.left_out) == left_out


def said(text: str) -> list[tuple[object, ...]]:
    """Return what each result is called, of which data and how exact, in the order of the file."""
    return [
        (metric.name, metric.value, metric.standard_error, metric.deviation, dict(one.dataset))
        for one in parse(text).evidence
        for metric in one.metrics
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"dataset": "mmlu", "metric": "acc", "value": 0.5}, {"dataset": "arc", "metric": "acc", "value": 0.6}]',
         [("acc", 0.5, None, None, {"name": "mmlu"}), ("acc", 0.6, None, None, {"name": "arc"})]),
        ('{"name": "BLEU", "score": 27.3, "signature": "nrefs:1|tok:13a", "nrefs": "1", "version": "2.4.0"}',
         [("BLEU", 27.3, None, None, {"args": "nrefs:1|tok:13a"})]),
        ('[{"split": "dev", "acc": 0.5, "acc_stderr": 0.1}, {"split": "test", "acc": 0.6, "acc_stderr": null}]',
         [("acc", 0.5, 0.1, None, {"split": "dev"}), ("acc", 0.6, None, None, {"split": "test"})]),
        ('[{"epoch": 1, "acc": 0.5}, {"epoch": 2, "acc": 0.6}]', [("acc", 0.6, None, None, {})]),
        ('{"epoch": 1, "acc": 0.5}\n{"epoch": 2, "acc": 0.6}\n', [("acc", 0.6, None, None, {})]),
        ('[{"acc": 0.5}, {"acc": 0.6}]',
         [("acc", 0.5, None, None, {"result": 1}), ("acc", 0.6, None, None, {"result": 2})]),
        ('{"name": "my model", "score": 0.9, "auc": 0.8}',
         [("score", 0.9, None, None, {}), ("auc", 0.8, None, None, {})]),
        ('{"acc": {"mean": 0.9, "std": 0.02, "max": 0.95}}',
         [("acc.max", 0.95, None, None, {}), ("acc", 0.9, None, 0.02, {})]),
        ('{"mean_reward": 275.3, "std_reward": 14.5, "acc_mean": 0.9, "acc_std": 0.02, "f1": 0.8, "f1_std": 0.1}',
         [("mean_reward", 275.3, None, 14.5, {}), ("acc_mean", 0.9, None, 0.02, {}), ("f1", 0.8, None, 0.1, {})]),
        ('{"noise_std": 0.1, "acc": 0.9}', [("noise_std", 0.1, None, None, {}), ("acc", 0.9, None, None, {})]),
        ("acc,acc_stderr,f1,f1_std\n0.5,0.1,0.8,0.2\n", [("acc", 0.5, 0.1, None, {}), ("f1", 0.8, None, 0.2, {})]),
        ("| Metric | Value |\n|:---|---:|\n| acc | 0.5 |\n\n", [("acc", 0.5, None, None, {})]),
    ],
)  # fmt: skip
def test_what_tells_results_apart_and_how_exact_they_are_is_kept(text: str, expected: list[tuple[object, ...]]) -> None:
    assert said(text) == expected


def test_a_key_that_stands_twice_in_a_line_is_no_result() -> None:
    assert "the key 'acc' stands twice" in fault('{"epoch": 1, "acc": 0.5, "acc": 0.6}\n{"epoch": 2, "acc": 0.6}\n')


REPORT = {
    ("precision", "de"): 1.0, ("recall", "de"): 0.5, ("f1-score", "de"): 0.6667,
    ("precision", "c,d"): 0.75, ("recall", "c,d"): 1.0, ("f1-score", "c,d"): 0.8571,
    ("accuracy", None): 0.8, ("macro avg precision", None): 0.875, ("macro avg recall", None): 0.75,
    ("macro avg f1-score", None): 0.7619,
}  # fmt: skip
BY_CLASS = """,precision,recall,f1-score,support
de,1.0,0.5,0.6667,2.0
"c,d",0.75,1.0,0.8571,3.0
accuracy,0.8,0.8,0.8,0.8
macro avg,0.875,0.75,0.7619,5.0
"""
BY_MEASURE = """,de,"c,d",accuracy,macro avg
precision,1.0,0.75,0.8,0.875
recall,0.5,1.0,0.8,0.75
f1-score,0.6667,0.8571,0.8,0.7619
support,2.0,3.0,0.8,5.0
"""
PRINTED = """
              precision    recall  f1-score   support

          de     1.0000    0.5000    0.6667         2
         c,d     0.7500    1.0000    0.8571         3

    accuracy                         0.8000         5
   macro avg     0.8750    0.7500    0.7619         5
"""


@pytest.mark.parametrize("text", [BY_CLASS, BY_CLASS.replace("\n", "\r\n"), "index" + BY_CLASS, BY_MEASURE, PRINTED])
def test_a_classification_report_is_read_as_pandas_and_scikit_learn_write_it(text: str) -> None:
    (found,) = parse(text).evidence
    assert {(one.name, one.slice.get("class")): one.value for one in found.metrics} == REPORT
    samples = {(one.name, one.slice.get("class")): one.samples for one in found.metrics}
    assert samples["recall", "de"] == 2
    assert samples["accuracy", None] == samples["macro avg recall", None] == 5


def test_a_class_that_nothing_was_predicted_for_is_left_out_alone() -> None:
    file = parse(BY_CLASS.replace("de,1.0,", "de,,") + "weighted avg,nan,0.8,0.78,5\n")
    assert len(file.evidence[0].metrics) == len(REPORT) + 1
    assert file.left_out == (
        "de.precision is empty",
        "weighted avg.precision is 'nan', not a number",
    )


def test_a_report_of_which_a_class_stands_twice_is_no_report() -> None:
    assert "tells its 5 rows apart" in fault(BY_CLASS + "de,1.0,0.5,0.6,2.0\n")


def test_a_wide_table_of_several_rows_needs_to_be_told_what_they_are() -> None:
    assert "tells its 2 rows apart" in fault("auc,loss\n0.91,0.3\n0.92,0.2\n")
    assert "tells its 2 rows apart" in fault(",auc\nde,0.91\nfr,0.92\n")
    rows = parse("dataset,split,auc\nfraud,test,0.9\nfraud,dev,0.8\n").evidence
    assert [(dict(one.dataset), one.metrics[0].value) for one in rows] == [
        ({"name": "fraud", "split": "test"}, 0.9),
        ({"name": "fraud", "split": "dev"}, 0.8),
    ]
    (sliced,) = parse("slice.language,auc\nde,0.9\nfr,0.8\n").evidence
    assert [dict(one.slice) for one in sliced.metrics] == [{"language": "de"}, {"language": "fr"}]
    assert "stands twice" in fault("dataset,auc\nfraud,0.9\nfraud,0.8\n")
    assert "measured twice at one step" in fault("step,auc\n1,0.9\n1,0.8\n")


def test_a_log_of_training_with_gaps_gives_the_newest_of_each_column() -> None:
    log = "epoch,step,train_loss,val_acc\n0,9,0.9,\n0,9,,0.7\n1,19,0.5,\n1,19,,0.91\n1,19,,0.91\n"
    assert values(log) == {"train_loss": 0.5, "val_acc": 0.91}


def test_a_column_of_words_is_left_out_by_name() -> None:
    file = parse("model,auc\nbert,0.91\n")
    assert (values("model,auc\nbert,0.91\n"), file.left_out) == ({"auc": 0.91}, ("column 'model' has no number",))


def test_all_columns_of_a_table_are_recorded() -> None:
    head = "metric,value,stderr,std,n,config,task,args,split,direction"
    (found,) = parse(f"{head}\nacc,0.5,0.01,0.2,100,no,qa,shots=5,test,higher\n").evidence
    assert found.dataset == {"config": "no", "split": "test", "task": "qa", "args": "shots=5"}
    assert found.metrics[0].to_document() == {
        "name": "acc",
        "value": 0.5,
        "direction": "higher",
        "samples": 100,
        "standard_error": 0.01,
        "deviation": 0.2,
    }


CELLS = st.text(alphabet='ab01.,;|\t"\n%±-é', max_size=6)


@given(st.lists(st.lists(CELLS, max_size=4), max_size=5), st.sampled_from([",", ";", "\t"]), st.booleans())
def test_no_table_is_anything_but_evidence_or_a_clear_error(rows: list[list[str]], separator: str, titled: Any) -> None:
    text = ("name" + separator + "value\n" if titled else "") + "\n".join(separator.join(row) for row in rows)
    try:
        found = parse(text)
    except UsageError as error:
        said = error.message
    else:
        said = "the table" if found.evidence else ""
    assert said.startswith(("the table", "line "))
