"""Reads a `classification_report(..., output_dict=True)` of scikit-learn, or one by class of seqeval.

For each class `{precision, recall, f1-score, support}` (seqeval: `{precision, recall, f1, number}`), averages in the
same form, and single values such as the accuracy. A class is a slice of the data; an average is a metric of its own.
The same is read of the text that scikit-learn prints, and of the table that pandas makes of it, either way round.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeGuard

from bucketry.schema.documents.evidence import Evidence
from bucketry.schema.foreign_values import make_metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.schema.documents.evidence import Metric
    from bucketry.schema.foreign_values import LeftOut

CLASS = "class"
_SUPPORT = ("support", "number")
_AVERAGE = " avg"
_INDEX = frozenset({"", "\0", "index", "class", "label"})
_MEASURES = frozenset({"precision", "recall", "support"})
_PRINTED_TITLES = re.compile(r"\s*precision +recall +(f1-score) +support\s*")
_NUMBER = r"([0-9.]+|nan)"
_PRINTED_ROW = re.compile(rf"\s*(\S.*?) {{2,}}{_NUMBER} +{_NUMBER} +{_NUMBER} +([0-9.]+)\s*")
_PRINTED_VALUE = re.compile(rf"\s*(\S.*?) {{2,}}{_NUMBER} +([0-9.]+)\s*")


def is_classification_report(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value is a report by class."""
    rows = value.values() if isinstance(value, dict) else ()
    return any(
        isinstance(row, dict) and {"precision", "recall"} <= row.keys() and any(name in row for name in _SUPPORT)
        for row in rows
    )


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


def report_of_text(text: str) -> dict[str, object] | None:
    """Return the report that scikit-learn printed, as `output_dict=True` gives it; None for any other text."""
    titles, *lines = [line for line in text.splitlines() if line.strip()] or [""]
    if not _PRINTED_TITLES.fullmatch(titles):
        return None
    report: dict[str, object] = {}
    for line in lines:
        if found := _PRINTED_ROW.fullmatch(line):
            report[found[1]] = dict(zip(("precision", "recall", "f1-score"), found.group(2, 3, 4), strict=True)) | {
                "support": float(found[5])
            }
        elif found := _PRINTED_VALUE.fullmatch(line):
            report[found[1]] = found[2]
        else:
            return None
    return report


def report_of_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, object] | None:
    """Return the report in a table with a row, or a column, for each class; None for any other table."""
    if not rows or titles[0] not in _INDEX:
        return None
    if {row[0] for row in rows} >= _MEASURES:
        titles, *rows = zip(titles, *rows, strict=True)
    if not set(titles[1:]) >= _MEASURES or len({row[0] for row in rows}) != len(rows):
        return None
    report: dict[str, object] = {}
    for name, *cells in rows:
        values = dict(zip(titles[1:], cells, strict=True))
        support: float | None = None
        if name == "accuracy":  # pandas repeats its one value in every column
            report[name] = values["precision"]
        else:
            with suppress(ValueError):  # what is no number says nothing of how many there were
                support = float(values["support"])
            report[name] = {**values, "support": support}
    return report


def _samples(row: object) -> int | None:
    """Return the support of a class or of all: scikit-learn writes a whole number with a point."""
    found = next((row[name] for name in _SUPPORT if name in row), None) if isinstance(row, dict) else None
    if not isinstance(found, int | float) or isinstance(found, bool) or not 0 <= found < 2**53:
        return None
    return int(found) if found == int(found) else None
