"""In which format is an evaluation written, and what does it say?

Recognised by content, whatever the file is called: our own JSON (one document or a list), plain `{"auc": 0.91}`, a
Hugging Face card, results of lm-evaluation-harness, metrics of MLflow, CSV.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UsageError
from bucketry.interop.huggingface_card import FENCE, read_card
from bucketry.interop.lm_evaluation_harness import is_harness_result, read_harness_result
from bucketry.interop.metrics_csv import is_metrics_csv, read_metrics_csv
from bucketry.interop.mlflow_metrics import find_mlflow_metrics, read_mlflow_metrics
from bucketry.schema.codec import Fields, decode_json
from bucketry.schema.evidence import MOST_METRICS, check_evidence, evidence_from_values, read_evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.schema.evidence import Evidence

LARGEST_EVIDENCE_FILE_BYTES = 8 * 1024 * 1024
MOST_EVALUATIONS = 1_000
"""In one file; a harness that ran more tasks than that wrote several."""
DEEPEST_PLACE = 32

_ADVICE = (
    'write {"auc": 0.91} or {"kind": "automated", "metrics": [...]}, '
    "or give a CSV, a model card, or what lm-evaluation-harness or MLflow wrote"
)


def parse_evidence_file(body: bytes, *, what: str) -> list[Evidence]:
    """Return the evaluations in a file; raise `UsageError` that names the file and the place in it."""
    try:
        found = list(_read(body, what))
        for evidence in found:
            check_evidence(evidence, what=what)
    except CorruptError as error:
        raise UsageError(error.message, advice=error.advice or _ADVICE) from error
    if len(found) > MOST_EVALUATIONS or sum(len(evidence.metrics) for evidence in found) > MOST_METRICS:
        raise UsageError(
            f"{what} has more than {MOST_EVALUATIONS:,} evaluations or {MOST_METRICS:,} metrics",
            advice="split it, or leave out what nobody compares",
        )
    if not any(evidence.metrics or evidence.notes for evidence in found):
        raise UsageError(f"{what} has no metric", advice=_ADVICE)
    return found


def _read(body: bytes, what: str) -> Sequence[Evidence]:
    if len(body) > LARGEST_EVIDENCE_FILE_BYTES:
        raise CorruptError(f"{what} is larger than {LARGEST_EVIDENCE_FILE_BYTES:,} bytes", advice="give a smaller file")
    start = body.lstrip()[:1]
    if start in {b"{", b"["}:
        return _read_json(body, what)
    if body.startswith(FENCE):
        return read_card(body, what=what)
    if is_metrics_csv(body):
        return read_metrics_csv(body, what=what)
    value = _decode(body, what)
    raise CorruptError(f"{what} is neither an object nor a list of evaluations, but {type(value).__name__}")


def _read_json(body: bytes, what: str) -> Sequence[Evidence]:
    value = _decode(body, what)
    metrics = find_mlflow_metrics(value)
    if metrics is not None:
        return read_mlflow_metrics(metrics, what=what)
    if isinstance(value, list):
        if not value or len(value) > MOST_EVALUATIONS:
            raise CorruptError(f"{what} is not a list of 1 to {MOST_EVALUATIONS:,} evaluations")
        return [_read_document(item, f"{what}: item {index}") for index, item in enumerate(value, start=1)]
    if is_harness_result(value):
        return read_harness_result(value, what=what)
    return [_read_document(value, what)]


def _read_document(value: object, what: str) -> Evidence:
    if not isinstance(value, dict):
        raise CorruptError(f"{what} is not a JSON object")
    return read_evidence(Fields(value, what=what)) if "metrics" in value else evidence_from_values(value, what=what)


def _decode(body: bytes, what: str) -> object:
    try:
        return decode_json(body, what=what)
    except CorruptError as error:
        place = _find_bad_number(body)
        if place is None:
            raise
        raise CorruptError(
            f"{what}: {place} is NaN or infinite, which cannot be compared", advice="leave the value out, or measure it"
        ) from error


def _find_bad_number(body: bytes) -> str | None:
    """Return where a NaN or an infinity stands in what is otherwise JSON."""
    try:
        return _bad_place(json.loads(body), "", DEEPEST_PLACE)
    except (ValueError, RecursionError):
        return None


def _bad_place(value: object, place: str, levels_left: int) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return place or "the value"
    if not levels_left or not isinstance(value, dict | list):
        return None
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in items:
        step = f"[{name}]" if isinstance(value, list) else f".{name}"
        found = _bad_place(inner, (place + step).removeprefix("."), levels_left - 1)
        if found is not None:
            return found
    return None
