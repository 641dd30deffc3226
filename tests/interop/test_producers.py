"""Is every producer named by its own marks alone, and does what it wrote mean what it means there?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.errors import BucketryError, UsageError
from bucketry.interop.evidence.files import parse_evidence_file
from bucketry.interop.evidence.paths import read_evidence

if TYPE_CHECKING:
    from pathlib import Path


def read(value: object) -> list[dict[str, Any]]:
    return [item.to_document() for item in parse_evidence_file(json.dumps(value).encode(), what="x").evidence]


TABLE = {"results": {"arc|0": {"acc": 0.5, "acc_stderr": 0.01}}}


@pytest.mark.parametrize(
    ("marks", "harness"),
    [
        ({}, {}),
        ({"git_hash": "abc", "configs": {}, "versions": {"arc|0": 1}}, {}),
        ({"lm_eval_version": "0.4.9"}, {"name": "lm-evaluation-harness", "version": "0.4.9"}),
        ({"config": {"no_cache": True, "limit": None}}, {"name": "lm-evaluation-harness"}),
        ({"lmms_eval_version": "0.7.2"}, {"name": "lmms-eval", "version": "0.7.2"}),
        ({"configs": {"arc|0": {"lmms_eval_specific_kwargs": {}}}}, {"name": "lmms-eval"}),
        ({"config_general": {"lighteval_sha": "f00", "model_name": "m"}}, {"name": "lighteval", "version": "f00"}),
        ({"config_general": {"lighteval_sha": "?"}}, {"name": "lighteval"}),
        ({"config_general": {}, "config_tasks": {}}, {"name": "lighteval"}),
    ],
)
def test_a_producer_is_named_by_its_own_marks(marks: dict[str, Any], harness: dict[str, str]) -> None:
    (found,) = read(TABLE | marks)
    assert found.get("harness", {}) == harness
    (metric,) = found["metrics"]
    assert (metric["name"], metric["value"], metric["standard_error"]) == ("acc", 0.5, 0.01)
    assert metric["confidence"]["low"] == pytest.approx(0.5 - 1.96 * 0.01, abs=1e-4)


def test_standard_errors_of_all_kinds_belong_to_their_metric() -> None:
    values = {
        "acc,none": 0.41,
        "acc_stderr,none": "N/A",
        "acc_stderr_clt,none": 0.012,
        "acc_stderr_clustered,none": 0.02,
    }
    values |= {"em,strict": 0.3, "em_stderr,strict": 0.02, "em,loose": 0.4, "alias": "mmmu"}
    (found,) = read({"results": {"mmmu": values}, "lmms_eval_version": "0.7"})
    assert [(one["name"], one.get("standard_error")) for one in found["metrics"]] == [
        ("acc", 0.012),
        ("em,strict", 0.02),
        ("em,loose", None),
    ]
    (plain,) = read({"test": {"maj@4_8_samples": 0.5, "maj@4_8_samples_stderr": 0.03}})
    (metric,) = plain["metrics"]
    assert (metric["name"], metric["standard_error"]) == ("test.maj@4_8_samples", 0.03)


def test_lighteval_names_its_data_and_version() -> None:
    document = {
        "config_general": {"lighteval_sha": "f00"},
        "results": {"leaderboard|arc|25": {"acc": 0.5}, "all": {"acc": 0.5}},
        "versions": {"leaderboard|arc|25": 0},
        "config_tasks": {"leaderboard|arc": {"hf_repo": "ai2_arc"}},
    }
    first, second = read(document)
    assert first["dataset"] == {"name": "leaderboard|arc|25", "version": "0", "path": "ai2_arc"}
    assert second["dataset"] == {"name": "all"}


def inspect_log(**more: Any) -> dict[str, Any]:
    scores = [
        {"name": "choice", "metrics": {"accuracy": {"name": "accuracy", "value": 0.8}, "stderr": {"value": 0.02}}},
        {"name": "grader", "reducer": "mode", "metrics": {"accuracy": {"value": 0.7}, "std": {"value": 0.4}}},
    ]
    run = {"task": "arc", "created": "2026-09-01T14:00:00+02:00", "dataset": {"name": "ai2_arc", "samples": 50}}
    run |= {"packages": {"inspect_ai": "0.3.99"}, "task_args": {"shots": 5}}
    return {
        "version": 2,
        "status": "success",
        "eval": run,
        "results": {"completed_samples": 50, "scores": scores},
    } | more


def test_each_scorer_of_an_inspect_log_is_an_evaluation() -> None:
    first, second = read(inspect_log())
    assert first["dataset"] == {"name": "ai2_arc", "task": "arc", "args": {"shots": 5}, "metric": "choice"}
    assert (first["harness"], first["at"]) == ({"name": "inspect_ai", "version": "0.3.99"}, "2026-09-01T12:00:00.000Z")
    (metric,) = first["metrics"]
    assert (metric["name"], metric["samples"], metric["standard_error"]) == ("accuracy", 50, 0.02)
    assert second["dataset"]["metric"] == "grader mode"
    assert second["metrics"] == [{"name": "accuracy", "value": 0.7, "samples": 50, "deviation": 0.4}]
    stopped = parse_evidence_file(json.dumps(inspect_log(status="error")).encode(), what="x")
    assert stopped.left_out == ("status is 'error': the run did not come to its end",)


def test_statistics_of_helm_are_told_apart_by_split_and_perturbation() -> None:
    stats = [
        {"name": {"name": "exact_match", "split": "test"}, "count": 1, "sum": 0.5, "mean": 0.5, "stddev": 0.0},
        {
            "name": {"name": "exact_match", "split": "test", "perturbation": {"name": "robustness", "x": 1}},
            "count": 3,
            "sum": 1.2,
            "mean": 0.4,
            "stddev": 0.1,
        },
        {"name": {"name": "exact_match", "split": "valid"}, "count": 0, "sum": 0},
    ]
    first, second = read(stats)
    assert (first["dataset"], first["metrics"]) == ({"split": "test"}, [{"name": "exact_match", "value": 0.5}])
    assert second["dataset"] == {"split": "test", "args": "perturbation=robustness"}
    assert second["metrics"] == [{"name": "exact_match", "value": 0.4, "deviation": 0.1}]
    assert first["harness"] == {"name": "helm"}


def test_a_classification_report_has_its_classes_as_slices() -> None:
    row = {"precision": 0.9, "recall": 0.8, "f1-score": 0.85, "support": 10.0}
    report = {"cat": row, "accuracy": 0.88, "macro avg": row | {"support": 20.0}}
    (found,) = read(report)
    names = [(one["name"], one.get("slice"), one["samples"]) for one in found["metrics"]]
    cat = {"class": "cat"}
    assert names == [
        *(("precision", cat, 10), ("recall", cat, 10), ("f1-score", cat, 10), ("accuracy", None, 20)),
        *(("macro avg precision", None, 20), ("macro avg recall", None, 20), ("macro avg f1-score", None, 20)),
    ]
    (seqeval,) = read({"LOC": {"precision": 1.0, "recall": 0.5, "f1": 0.66, "number": 2}, "overall_f1": 0.66})
    assert [(one["name"], one.get("slice")) for one in seqeval["metrics"]][-2:] == [
        ("f1", {"class": "LOC"}),
        ("overall_f1", None),
    ]


def test_of_a_trainers_state_the_newest_evaluation_counts() -> None:
    history = [
        {"step": 50, "loss": 1.2, "epoch": 0.5},
        {"step": 50, "eval_accuracy": 0.8, "eval_loss": 0.4, "eval_runtime": 3.0},
        {"step": 100, "eval_accuracy": 0.91, "eval_loss": float("nan"), "eval_samples_per_second": 90.0},
        {"step": 100, "train_loss": 0.7, "train_runtime": 60.0},
    ]
    state = {"log_history": history, "global_step": 100, "best_metric": None}
    file = parse_evidence_file(json.dumps(state).encode(), what="x")
    assert [(one.name, one.value) for one in file.evidence[0].metrics] == [("eval_accuracy", 0.91), ("train_loss", 0.7)]
    assert file.left_out == ("log_history[2].eval_loss is nan, which cannot be compared",)
    state["log_history"] = history[:1]
    with pytest.raises(UsageError, match="recognised as the state of a Trainer, but nothing was evaluated"):
        read(state)


def test_what_evaluate_saved() -> None:
    saved = {
        "accuracy": 0.9,
        "_timestamp": "2026-05-30T22:09:11.95",
        "_evaluate_version": "0.4.6",
        "_python_version": "3",
    }
    assert read(saved) == [
        {
            "kind": "automated",
            "metrics": [{"name": "accuracy", "value": 0.9}],
            "harness": {"name": "evaluate", "version": "0.4.6"},
        }
    ]


def test_a_result_of_mteb_is_an_evaluation_for_each_split_and_subset() -> None:
    rows = [{"hf_subset": "de", "languages": ["deu-Latn"], "main_score": 0.8, "accuracy": 0.8}]
    result = {"mteb_version": "1.38", "task_name": "Massive", "dataset_revision": "3129", "evaluation_time": 9.5}
    (found,) = read(result | {"scores": {"test": rows}})
    assert found["dataset"] == {"name": "Massive", "config": "de", "split": "test", "version": "3129"}
    assert [one["name"] for one in found["metrics"]] == ["main_score", "accuracy"]
    assert found["harness"] == {"name": "mteb", "version": "1.38"}


def test_of_a_wandb_summary_only_what_was_measured() -> None:
    (found,) = read({"_wandb": {"runtime": 9}, "_step": 3, "_timestamp": 1.7e9, "_runtime": 9.1, "val/acc": 0.9})
    assert (found["harness"], found["metrics"]) == ({"name": "wandb"}, [{"name": "val/acc", "value": 0.9}])


def test_nested_tables_and_metrics_in_a_table() -> None:
    (found,) = read({"test": {"accuracy": 0.9, "by": {"de": 0.8}}, "loss": 0.3})
    assert [one["name"] for one in found["metrics"]] == ["test.accuracy", "test.by.de", "loss"]
    assert read({"metrics": {"accuracy": 0.91}}) == [
        {"kind": "automated", "metrics": [{"name": "accuracy", "value": 0.91}]}
    ]
    (run,) = read({"info": {"run_id": "r"}, "data": {"metrics": {"auc": 0.9}, "params": {"lr": "1"}}})
    assert (run["harness"], run["metrics"]) == ({"name": "mlflow"}, [{"name": "auc", "value": 0.9}])


def test_a_run_of_mlflow_on_disk(tmp_path: Path) -> None:
    metrics = tmp_path / "run" / "metrics"
    (metrics / "val").mkdir(parents=True)
    (tmp_path / "run" / "meta.yaml").write_text("run_id: r\n")
    (metrics / "val" / "auc").write_text("1700000000000 0.5 0\n1700000000002 0.93 2\n1700000000001 0.91 1\n")
    (metrics / "loss").write_text("1700000000000 0.2 0\n1700000000001 nan 1\n")
    (metrics / "acc").write_text("1700000000000 0.7 0 held-out 9a8b r m\n")
    found = read_evidence(tmp_path / "run")
    assert [(one.dataset, one.metrics[0].name, one.metrics[0].value) for one in found.evidence] == [
        ({"name": "held-out", "digest": "9a8b"}, "acc", 0.7),
        ({}, "val/auc", 0.93),
    ]
    assert found.left_out == ("metric 'loss' is 'nan', not a number",)
    with pytest.raises(UsageError, match="metric 'loss' is 'nan'"):
        read_evidence(tmp_path / "run", strict=True)
    (only,) = read_evidence(metrics / "val" / "auc").evidence
    assert [(one.name, one.value) for one in only.metrics] == [("auc", 0.93)]
    (metrics / "notes.txt").write_text("good run")
    with pytest.raises(UsageError, match=r"none of an MLflow run: notes\.txt is no file of a metric"):
        read_evidence(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="is a folder without metrics"):
        read_evidence(tmp_path / "empty")


OF_HARNESSES = ("metrics", "results", "eval", "scores", "name", "value", "log_history", "global_step", "step", "info")
OF_OTHERS = ("data", "_evaluate_version", "precision", "recall", "support", "count", "sum", "mean", "acc", "acc_stderr")
KEYS = st.sampled_from([*OF_HARNESSES, *OF_OTHERS, "eval_loss", "run"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.sampled_from(["7%", "1 +/- 2"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=24,
)


@given(JSON)
def test_no_json_is_anything_but_evidence_or_a_clear_error(value: object) -> None:
    try:
        found = parse_evidence_file(json.dumps(value).encode(), what="x")
    except BucketryError as error:
        said = error.message
    else:
        said = "x" if found.evidence else ""
    assert said.startswith("x")
    assert "not valid JSON" not in said


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c", "d"]), st.floats() | st.none() | st.booleans() | st.text(max_size=4)
    )
)
def test_of_any_mixture_the_good_values_are_kept(values: dict[str, object]) -> None:
    file = parse_evidence_file(json.dumps({"good": 0.5, **values}).encode(), what="x")
    kept = {metric.name for item in file.evidence for metric in item.metrics}
    assert "good" in kept
    assert len(kept) + len(file.left_out) == len(values) + 1
