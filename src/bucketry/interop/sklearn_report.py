"""What does a `classification_report(..., output_dict=True)` of scikit-learn say, or one by class of seqeval?

For each class `{precision, recall, f1-score, support}` (seqeval: `{precision, recall, f1, number}`), averages in the
same form, and single values such as the accuracy. A class is a slice of the data; an average is a metric of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from bucketry.schema.evidence import Evidence
from bucketry.schema.measured_values import make_metric

if TYPE_CHECKING:
    from bucketry.schema.evidence import Metric
    from bucketry.schema.measured_values import LeftOut

CLASS = "class"
_SUPPORT = ("support", "number")
_AVERAGE = " avg"


def is_classification_report(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value is a report by class."""
    return isinstance(value, dict) and any(_is_row(row) for row in value.values())


def read_classification_report(
    report: dict[str, Any], left_out: LeftOut, place: str, harness: dict[str, object]
) -> Evidence:
    """Return the report as one evaluation."""
    total = _samples(report.get("macro avg")) or _samples(report.get("weighted avg"))
    found: list[Metric | None] = []
    for name, row in report.items():
        if not isinstance(row, dict):
            samples = total if name == "accuracy" else None
            found.append(make_metric(left_out, f"{place}{name}", name, row, {"samples": samples}))
            continue
        samples = _samples(row)
        is_average = name.endswith(_AVERAGE)
        for measure, value in row.items():
            if measure not in _SUPPORT:
                parts = {"samples": samples} if is_average else {"samples": samples, "slice": {CLASS: name}}
                called = f"{name} {measure}" if is_average else measure
                found.append(make_metric(left_out, f"{place}{name}.{measure}", called, value, parts))
    return Evidence("automated", tuple(metric for metric in found if metric is not None), harness=harness)


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and {"precision", "recall"} <= row.keys() and any(name in row for name in _SUPPORT)


def _samples(row: object) -> int | None:
    """Return the support of a class or of all: scikit-learn writes a whole number with a point."""
    found = next((row[name] for name in _SUPPORT if name in row), None) if isinstance(row, dict) else None
    if not isinstance(found, int | float) or isinstance(found, bool) or not 0 <= found < 2**53:
        return None
    return int(found) if found == int(found) else None
