"""What does a result file of lm-evaluation-harness say?

It has `results: {task: {"acc,none": 0.5, "acc_stderr,none": 0.01, "alias": ...}}`, groups among the tasks and again in
`groups`, and beside it `versions`, `configs`, `n-samples` and `higher_is_better` by task. Each task becomes one
evaluation on the data set of that name. A standard error becomes the 95 % interval of the normal approximation.
Files from before 0.4 have no filter (`,none`) in their keys.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeGuard

from bucketry.errors import CorruptError
from bucketry.schema.evidence import Confidence, Evidence, Metric, check_number

HARNESS = "lm-evaluation-harness"
LEVEL = 0.95
STANDARD_ERRORS = 1.959963984540054
"""So many to either side hold 95 % of a normal distribution."""
NO_FILTER = "none"
MOST_TASKS = 1_000

_BESIDE_METRICS = frozenset({"alias", "name", "sample_len", "sample_count", "samples", " "})
_ABSENT = ("N/A", "", " ", None)
"""What the harness writes where it could not compute a standard error, or where a group has no aggregate."""


def is_harness_result(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value looks like a result file of the harness."""
    if not isinstance(value, dict) or not isinstance(value.get("results"), dict):
        return False
    tasks = value["results"].values()
    return bool(tasks) and all(isinstance(task, dict) for task in tasks)


def read_harness_result(document: dict[str, Any], *, what: str) -> list[Evidence]:
    """Return one evaluation for each task and each group with a value; raise `CorruptError`."""
    tasks = dict(document["results"])
    for name, values in _table(document, "groups").items():
        tasks.setdefault(name, values)
    if len(tasks) > MOST_TASKS:
        raise CorruptError(f"{what}: {len(tasks):,} tasks are over the limit of {MOST_TASKS:,}")
    found = [_read_task(document, name, values, f"{what}: results.{name}") for name, values in tasks.items()]
    return [evidence for evidence in found if evidence.metrics]


def _read_task(document: dict[str, Any], task: str, values: object, what: str) -> Evidence:
    if not isinstance(values, dict):
        raise CorruptError(f"{what} is not an object")
    config = _table(_table(document, "configs"), task)
    samples = _samples(document, task, values)
    directions = _directions(document, config, task)
    has_filters = any("," in key for key in values)
    metrics = []
    for key, value in values.items():
        name, _, filter_name = key.partition(",")
        is_metric = "," in key if has_filters else key not in _BESIDE_METRICS
        if not is_metric or name.endswith("_stderr") or value in _ABSENT:
            continue
        number = check_number(value, what=f"{what}.{key}")
        error = values.get(f"{name}_stderr,{filter_name}" if has_filters else f"{name}_stderr")
        metrics.append(
            Metric(
                name=name if filter_name in {"", NO_FILTER} else key,
                value=number,
                direction=directions.get(name),
                confidence=_confidence(number, error, f"{what}.{name}_stderr"),
                samples=samples,
            )
        )
    return Evidence(
        "automated",
        tuple(metrics),
        at=_moment(document),
        harness=_harness(document),
        dataset=_dataset(document, task, config),
    )


def _confidence(value: float, error: object, what: str) -> Confidence | None:
    if error in _ABSENT:
        return None
    half = STANDARD_ERRORS * check_number(error, what=what)
    if half < 0:
        raise CorruptError(f"{what} is negative")
    return Confidence(value - half, value + half, LEVEL)


def _samples(document: dict[str, Any], task: str, values: dict[str, Any]) -> int | None:
    counts = _table(_table(document, "n-samples"), task)
    found = counts.get("effective", values.get("sample_len"))
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def _directions(document: dict[str, Any], config: dict[str, Any], task: str) -> dict[str, str]:
    listed = config.get("metric_list")
    stated = {
        str(item["metric"]): item.get("higher_is_better")
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, dict) and "metric" in item
    }
    stated |= _table(_table(document, "higher_is_better"), task)
    return {name: "higher" if higher else "lower" for name, higher in stated.items() if isinstance(higher, bool)}


def _dataset(document: dict[str, Any], task: str, config: dict[str, Any]) -> dict[str, object]:
    version = _table(document, "versions").get(task)
    split = config.get("test_split") or config.get("validation_split")
    shots = _table(document, "n-shot").get(task)
    fields = {
        "name": task,
        "version": None if version is None else str(version),
        "split": split if isinstance(split, str) else None,
        "path": config.get("dataset_path"),
        "shots": shots if isinstance(shots, int) else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _harness(document: dict[str, Any]) -> dict[str, object]:
    version = document.get("lm_eval_version") or document.get("git_hash")
    return {"name": HARNESS, "version": version} if isinstance(version, str) else {"name": HARNESS}


def _moment(document: dict[str, Any]) -> str | None:
    """Return when the harness ran: it writes seconds since 1970."""
    date = document.get("date")
    if isinstance(date, bool) or not isinstance(date, int | float):
        return None
    try:
        return datetime.fromtimestamp(date, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}
