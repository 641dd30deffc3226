"""What do metrics say that MLflow wrote?

A list of `{key, value, step, timestamp}`, as `client.get_metric_history` gives and the REST API answers, alone or below
`metrics` or `run.data.metrics`. Of each key counts the newest step, and of equal steps the newest time. MLflow 3 adds
`dataset_name` and `dataset_digest`.
"""

from __future__ import annotations

import re
from typing import Any

from bucketry.errors import CorruptError
from bucketry.schema.evidence import Evidence, Metric, check_number

MOST_VALUES = 100_000
_WHOLE = re.compile(r"-?[0-9]{1,18}")


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


def read_mlflow_metrics(items: list[Any], *, what: str) -> list[Evidence]:
    """Return one evaluation for each data set, or one in all where none is named; raise `CorruptError`."""
    if len(items) > MOST_VALUES:
        raise CorruptError(f"{what}: {len(items):,} values are over the limit of {MOST_VALUES:,}")
    newest: dict[tuple[str | None, str | None], dict[str, tuple[tuple[int, int], float]]] = {}
    for index, item in enumerate(items):
        place = f"{what}: metrics[{index}]"
        if not isinstance(item, dict) or not isinstance(item.get("key"), str):
            raise CorruptError(f"{place} has no key", advice='each has "key", "value" and "step"')
        value = check_number(item.get("value"), what=f"{place} ({item['key']!a})")
        moment = (_whole(item, "step", place), _whole(item, "timestamp", place))
        data = newest.setdefault((_text(item, "dataset_name", place), _text(item, "dataset_digest", place)), {})
        known = data.get(item["key"])
        if known is None or moment >= known[0]:
            data[item["key"]] = (moment, value)
    return [
        Evidence(
            "automated",
            tuple(Metric(key, value) for key, (_, value) in metrics.items()),
            harness={"name": "mlflow"},
            dataset={field: text for field, text in (("name", name), ("digest", digest)) if text},
        )
        for (name, digest), metrics in newest.items()
    ]


def _whole(item: dict[str, Any], name: str, place: str) -> int:
    """Return a step or a time, which the REST API may write as a text."""
    value = item.get(name, 0)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value or 0
    raise CorruptError(f"{place}: {name} is not a whole number")


def _text(item: dict[str, Any], name: str, place: str) -> str | None:
    value = item.get(name)
    if value is not None and not isinstance(value, str):
        raise CorruptError(f"{place}: {name} is not a text")
    return value or None
