"""Finds out in which format an evaluation is written, and reads it.

Recognised by content, whatever the file is called: our own JSON (one document or a list), tables of names and values,
a Hugging Face card, results of evaluation harnesses, metrics of MLflow, CSV. What a file says and what is no number is
left out by name; of two results with the same key both are kept, in their order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bucketry.errors import CorruptError, UsageError
from bucketry.frozen import frozen
from bucketry.interop.evidence.evaluate_library import is_saved_evaluation, saved_harness, saved_values
from bucketry.interop.evidence.foreign_text import decode_text, load_json, start_of
from bucketry.interop.evidence.helm_stats import is_helm_stats, read_helm_stats
from bucketry.interop.evidence.huggingface_card import read_card
from bucketry.interop.evidence.inspect_logs import is_inspect_log, read_inspect_log
from bucketry.interop.evidence.lm_evaluation_harness import is_harness_result, read_harness_result
from bucketry.interop.evidence.metric_records import find_lines, read_records
from bucketry.interop.evidence.metric_tables import table_metrics
from bucketry.interop.evidence.metrics_csv import is_metrics_csv, read_metrics_csv
from bucketry.interop.evidence.mlflow_metrics import HARNESS as MLFLOW
from bucketry.interop.evidence.mlflow_metrics import (
    find_mlflow_metrics,
    find_mlflow_values,
    is_metric_file,
    read_metric_files,
    read_mlflow_metrics,
)
from bucketry.interop.evidence.mteb_results import is_mteb_result, read_mteb_result
from bucketry.interop.evidence.sklearn_report import (
    is_classification_report,
    read_classification_report,
    report_of_text,
)
from bucketry.interop.evidence.transformers_trainer import is_trainer_state, read_trainer_state
from bucketry.interop.evidence.wandb_summary import HARNESS as WANDB
from bucketry.interop.evidence.wandb_summary import is_run_summary, summary_values
from bucketry.schema.codec import Fields
from bucketry.schema.documents.cards import begins_front_matter
from bucketry.schema.documents.datasets import dataset_of
from bucketry.schema.documents.evidence import MOST_METRICS, Evidence, check_claims, check_evidence, read_evidence
from bucketry.schema.foreign_values import LeftOut, make_metric
from bucketry.schema.text import fault_in_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.schema.documents.evidence import Metric

LARGEST_EVIDENCE_FILE_BYTES = 8 * 1024 * 1024
MOST_EVALUATIONS = 1_000
"""In one file; a harness that ran more tasks than that wrote several."""
MOST_TOLD = 3
"""So many faults are named where nothing is left."""

_ADVICE = (
    'write {"auc": 0.91} or {"kind": "automated", "metrics": [...]}, '
    "or give a CSV, a model card, or what an evaluation harness or MLflow wrote"
)
_OF_METRIC = frozenset(
    {"name", "value", "unit", "direction", "slice", "confidence", "samples", "standard_error", "deviation"}
)


@frozen
class EvidenceFile:
    """The evaluations in a file, and what of it was left out because it cannot be compared, in words."""

    evidence: tuple[Evidence, ...]
    left_out: tuple[str, ...] = ()


def parse_evidence_file(body: bytes, *, what: str, called: str = "") -> EvidenceFile:
    """Return what is in a file; raise `UsageError` that names the file and the place in it, or that nothing is left.

    What it is called matters for one format only: a metric of an MLflow run on disk says nowhere else which it is.
    """
    if len(body) > LARGEST_EVIDENCE_FILE_BYTES:
        raise UsageError(f"{what} is larger than {LARGEST_EVIDENCE_FILE_BYTES:,} bytes", advice="give a smaller file")
    return gather(lambda left_out: _read(decode_text(body, what=what), left_out, what, called), what=what)


def gather(read: Callable[[LeftOut], Sequence[Evidence]], *, what: str) -> EvidenceFile:
    """Return what is read of something foreign; raise `UsageError`.

    `make_metric` made each metric, and no two are the same any more: what is left to check is what the file claims.
    """
    left_out = LeftOut()
    try:
        found = []
        for evidence in read(left_out):
            name = evidence.dataset.get("name")
            fault = fault_in_line(name) if isinstance(name, str) else ""
            if fault:  # such a name cannot be written in a line: all that was measured on that data is left out
                left_out.add(f"what was measured on {name!a}", f"has in the name of the data {fault}")
            else:
                found.append(evidence)
        _check_size(found, what)
        kept = keep_apart(found, what=what)
        _check_size(kept, what)
    except CorruptError as error:
        raise UsageError(error.message, advice=error.advice or _ADVICE) from error
    if not any(evidence.metrics or evidence.notes for evidence in kept):
        told = f" that can be compared: {'; '.join(left_out.notes[:MOST_TOLD])}" if left_out.notes else ""
        more = len(left_out.notes) - MOST_TOLD
        told += f" and {more:,} more" if more > 0 else ""
        raise UsageError(f"{what} has no metric{told}", advice=_ADVICE)
    for evidence in kept:
        check_claims(evidence, what=what)
    return EvidenceFile(tuple(kept), tuple(left_out.notes))


def keep_apart(evidence: Sequence[Evidence], *, what: str) -> list[Evidence]:
    """Return evaluations in which no two results have the same key: those that had are numbered in their order.

    A result is known by metric, data set, slice and kind; of several with the same the last would silently win. What
    says the very same twice is kept once. Raises `CorruptError` where a file's own numbers do not tell results apart.
    """
    known: dict[tuple[object, ...], list[tuple[Metric, Evidence]]] = defaultdict(list)
    for item in evidence:
        said = replace(item, metrics=())
        for metric in item.metrics:
            same = known[item.kind, dataset_of(item.dataset), metric.name, metric.slice_key]
            if (metric, said) not in same:
                same.append((metric, said))
            if len(same) > MOST_EVALUATIONS:
                raise CorruptError(f"{what}: {metric.name!a} stands more than {MOST_EVALUATIONS:,} times")
    taken: Counter[tuple[object, ...]] = Counter()
    kept = []
    for item in evidence:
        numbered: dict[int | None, list[Metric]] = defaultdict(list)
        said = replace(item, metrics=())
        for metric in item.metrics:
            key = (item.kind, dataset_of(item.dataset), metric.name, metric.slice_key)
            same = known[key]
            if len(same) == 1 and not taken[key]:
                numbered[None].append(metric)
            elif len(same) > 1 and (metric, said) == same[min(taken[key], len(same) - 1)]:
                numbered[taken[key] + 1].append(metric)
            else:
                continue
            taken[key] += 1
        if any(numbered) and "result" in item.dataset:
            raise CorruptError(f"{what}: two results have the same number", advice="number each result anew")
        kept += _parts(item, numbered)
    return kept


def _parts(item: Evidence, numbered: dict[int | None, list[Metric]]) -> list[Evidence]:
    if not numbered:
        return [item] if item.notes and not item.metrics else []
    return [
        replace(item, metrics=tuple(metrics), dataset={**item.dataset, "result": number} if number else item.dataset)
        for number, metrics in numbered.items()
    ]


def _check_size(evidence: Sequence[Evidence], what: str) -> None:
    if len(evidence) > MOST_EVALUATIONS or sum(len(item.metrics) for item in evidence) > MOST_METRICS:
        raise CorruptError(
            f"{what} has more than {MOST_EVALUATIONS:,} evaluations or {MOST_METRICS:,} metrics",
            advice="split it, or leave out what nobody compares",
        )


def _read(text: str, left_out: LeftOut, what: str, called: str) -> Sequence[Evidence]:
    if text.lstrip()[:1] in {"{", "["}:
        lines = find_lines(text)
        found = None if lines is None else read_records(lines, left_out, what=what)
        if found is not None:
            return found
        return _read_json(load_json(text, what=what), left_out, what)
    if begins_front_matter(text):
        return read_card(text, left_out, what=what)
    if called and is_metric_file(text):
        return read_metric_files([(called, text)], left_out, what=what)
    printed = report_of_text(text)
    if printed is not None:
        return [read_classification_report(printed, left_out, "", {})]
    if is_metrics_csv(text):
        return read_metrics_csv(text, left_out, what=what)
    raise CorruptError(f"{what} is of no format that is known: it begins with {start_of(text)}")


def _read_json(  # noqa: PLR0911 - one for each format
    value: Any,  # noqa: ANN401 - any JSON
    left_out: LeftOut,
    what: str,
) -> Sequence[Evidence]:
    metrics = find_mlflow_metrics(value)
    if metrics is not None:
        return read_mlflow_metrics(metrics, left_out, what=what)
    if is_helm_stats(value):
        return read_helm_stats(value, left_out)
    records = read_records(value, left_out, what=what)
    if records is not None:
        return records
    if isinstance(value, list):
        if not value or len(value) > MOST_EVALUATIONS:
            raise CorruptError(f"{what} is not a list of 1 to {MOST_EVALUATIONS:,} evaluations")
        return [_read_document(item, left_out, f"{what}: item {at}", f"[{at}].") for at, item in enumerate(value, 1)]
    if is_inspect_log(value):
        return read_inspect_log(value, left_out)
    if is_mteb_result(value):
        return read_mteb_result(value, left_out)
    if is_harness_result(value):
        return read_harness_result(value, left_out, what=what)
    return [_read_document(value, left_out, what, "")]


def _read_document(value: object, left_out: LeftOut, what: str, place: str) -> Evidence:
    if not isinstance(value, dict):
        raise CorruptError(f"{what} is not a JSON object")
    if isinstance(value.get("metrics"), list):
        return _read_ours(value, left_out, what, place)
    if is_trainer_state(value):
        return read_trainer_state(value, left_out, what=what)
    values, harness, inner = value, dict[str, object](), place
    run = find_mlflow_values(value)
    if run is not None:
        values, harness = run, dict(MLFLOW)
    elif is_saved_evaluation(value):
        values, harness = saved_values(value), saved_harness(value)
    elif is_run_summary(value):
        values, harness = summary_values(value), dict(WANDB)
    elif isinstance(value.get("metrics"), dict):
        values, inner = value["metrics"], f"{place}metrics."
    if is_classification_report(values):
        return read_classification_report(values, left_out, inner, harness)
    return Evidence("automated", tuple(table_metrics(values, left_out, inner)), harness=harness)


def _read_ours(value: dict[str, Any], left_out: LeftOut, what: str, place: str) -> Evidence:
    """Return the evaluation in a document of ours; a metric in it that makes no sense is left out alone."""
    whole = read_evidence(Fields({**value, "metrics": []}, what=what))
    metrics = []
    for number, item in enumerate(value["metrics"][: MOST_METRICS + 1]):
        at = f"{place}metrics[{number}]"
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            left_out.add(at, "is not a metric with a name")
            continue
        interval = item.get("confidence") or {}
        if not isinstance(interval, dict):
            left_out.add(f"{at}: confidence", "is not a table")
            interval = {}
        parts = {**item, **{name: interval.get(name) for name in ("low", "high", "level")}}
        metric = make_metric(left_out, f"{at} ({item['name']!a})", item["name"], item.get("value"), parts)
        if metric is not None:
            metrics.append(replace(metric, extra={name: one for name, one in item.items() if name not in _OF_METRIC}))
    return check_evidence(replace(whole, metrics=tuple(metrics)), what=what)
