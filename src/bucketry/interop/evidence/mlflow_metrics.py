"""Reads the metrics that MLflow wrote.

A list of `{key, value, step, timestamp}`, as `client.get_metric_history` gives and the REST API answers, alone or below
`metrics` or `run.data.metrics`; or a file for each metric, with a line `timestamp value step` for each value. Of each
key counts the newest step, of equal steps the newest time, and of equal times the greatest value, as in MLflow itself.
MLflow 3 adds `dataset_name` and `dataset_digest`.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.schema.documents.evidence import Evidence
from bucketry.schema.foreign_values import NoValueError, make_metric, read_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bucketry.schema.foreign_values import LeftOut

HARNESS = {"name": "mlflow"}
MOST_VALUES = 100_000
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_LINE = re.compile(r"([0-9]{1,18}) (\S{1,64})(?: (-?[0-9]{1,18})(?: (\S+) (\S+)(?: \S+){0,2})?)?")


@frozen
class _Logged:
    """One value as MLflow logged it. `value` is what stands there, a number or not."""

    key: str
    value: object
    step: int
    timestamp: int
    data: tuple[str | None, str | None] = (None, None)

    @property
    def moment(self) -> tuple[int, int, float]:
        try:
            size = read_number(self.value)
        except NoValueError:
            size = -math.inf
        return self.step, self.timestamp, size


def find_mlflow_metrics(value: object) -> list[Any] | None:
    """Return the list of metrics if a JSON value is what MLflow writes."""
    if isinstance(value, dict) and isinstance(value.get("run"), dict):
        value = value["run"]
    if isinstance(value, dict) and isinstance(value.get("data"), dict):
        value = value["data"]
    if isinstance(value, dict):
        value = value.get("metrics")
    is_ours = isinstance(value, list) and bool(value) and isinstance(value[0], dict)
    return value if is_ours and isinstance(value, list) and "key" in value[0] and "name" not in value[0] else None


def find_mlflow_values(value: object) -> dict[str, Any] | None:
    """Return the newest values by name if a JSON value is a run as `run.to_dictionary()` gives it."""
    data = value.get("data") if isinstance(value, dict) and isinstance(value.get("info"), dict) else None
    metrics = data.get("metrics") if isinstance(data, dict) else None
    return metrics if isinstance(metrics, dict) else None


def read_mlflow_metrics(items: list[Any], left_out: LeftOut, *, what: str) -> list[Evidence]:
    """Return one evaluation for each data set, or one in all where none is named; raise `CorruptError`."""
    if len(items) > MOST_VALUES:
        raise CorruptError(f"{what}: {len(items):,} values are over the limit of {MOST_VALUES:,}")
    logged = []
    for index, item in enumerate(items):
        place = f"metrics[{index}]"
        if not isinstance(item, dict) or not isinstance(item.get("key"), str):
            left_out.add(place, "has no key")
            continue
        try:
            moment = _whole(item, "step"), _whole(item, "timestamp")
        except NoValueError as fault:
            left_out.add(f"{place} ({item['key']!a})", str(fault))
            continue
        data = _text(item, "dataset_name"), _text(item, "dataset_digest")
        logged.append(_Logged(item["key"], item.get("value"), *moment, data))
    return newest_evidence(logged, left_out)


def is_metric_file(text: str) -> bool:
    """Return whether a file is one metric of a run on disk: all lines are `timestamp value step`."""
    lines = text.splitlines()
    found = [_LINE.fullmatch(line) for line in lines if line.strip()]
    return bool(found) and all(found) and not all(line.isdigit() for line in lines)


def read_metric_files(files: Iterable[tuple[str, str]], left_out: LeftOut, *, what: str) -> list[Evidence]:
    """Return what the files of a run say, each its metric's name and its text; raise `CorruptError`."""
    logged = []
    for name, text in files:
        for number, line in enumerate(text.splitlines(), 1):
            found = _LINE.fullmatch(line)
            if found is not None:
                data = found[4], found[5]
                logged.append(_Logged(name, found[2], int(found[3] or 0), int(found[1]), data))
            elif line.strip():
                left_out.add(f"{name}: line {number}", "is not `timestamp value step`")
            if len(logged) > MOST_VALUES:
                raise CorruptError(f"{what} has more than {MOST_VALUES:,} values", advice="give fewer files")
    return newest_evidence(logged, left_out)


def newest_evidence(logged: Iterable[_Logged], left_out: LeftOut) -> list[Evidence]:
    """Return one evaluation for each data set with the newest value of each metric, those left out that are none."""
    newest: dict[tuple[str | None, str | None], dict[str, _Logged]] = {}
    for one in logged:
        known = newest.setdefault(one.data, {})
        if one.key not in known or one.moment >= known[one.key].moment:
            known[one.key] = one
    found = []
    for (name, digest), values in newest.items():
        metrics = [make_metric(left_out, f"metric {key!a}", key, one.value) for key, one in values.items()]
        dataset = {field: text for field, text in (("name", name), ("digest", digest)) if text}
        kept = tuple(metric for metric in metrics if metric is not None)
        found.append(Evidence("automated", kept, harness=HARNESS, dataset=dataset))
    return [evidence for evidence in found if evidence.metrics]


def _whole(item: dict[str, Any], name: str) -> int:
    """Return a step or a time, which the REST API may write as a text."""
    value = item.get(name, 0)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value or 0
    raise NoValueError(f"has a {name} that is not a whole number")


def _text(item: dict[str, Any], name: str) -> str | None:
    value = item.get(name)
    return value if isinstance(value, str) and value else None
