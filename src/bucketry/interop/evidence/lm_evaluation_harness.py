"""Reads results by task, as lm-evaluation-harness, lmms-eval and lighteval write them.

It has `results: {task: {"acc,none": 0.5, "acc_stderr,none": 0.01, "alias": ...}}`, groups among the tasks and again in
`groups`, and beside it `versions`, `configs`, `n-samples` and `higher_is_better` by task. Each task becomes one
evaluation on the data set of that name. A standard error belongs to its metric, and becomes the 95 % interval of the
normal approximation. Files from before 0.4, and lighteval's, have no filter (`,none`) in their keys. Others write such
files too: only its own marks say which tool it was.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeGuard

from bucketry.errors import CorruptError
from bucketry.interop.evidence.metric_tables import base_of_error, error_parts, standard_errors
from bucketry.schema.documents.evidence import Evidence
from bucketry.schema.foreign_values import make_metric

if TYPE_CHECKING:
    from bucketry.schema.documents.evidence import Metric
    from bucketry.schema.foreign_values import LeftOut

HARNESS = "lm-evaluation-harness"
MULTIMODAL_HARNESS = "lmms-eval"
LIGHTEVAL = "lighteval"
NO_FILTER = "none"
MOST_TASKS = 1_000

_BESIDE_METRICS = frozenset({"alias", "name", "sample_len", "sample_count", "samples", " "})
_EMPTY = ("", " ")
"""What stands for a group that has no value of its own."""
_OF_OLD_HARNESS = ("no_cache", "description_dict")
"""Fields of `config` that lm-evaluation-harness had before it wrote its version."""


def is_harness_result(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value looks like a file of results by task."""
    if not isinstance(value, dict) or not isinstance(value.get("results"), dict):
        return False
    tasks = value["results"].values()
    return bool(tasks) and all(isinstance(task, dict) for task in tasks)


def read_harness_result(document: dict[str, Any], left_out: LeftOut, *, what: str) -> list[Evidence]:
    """Return one evaluation for each task and each group with a value; raise `CorruptError`."""
    tasks = dict(document["results"])
    for name, values in _table(document, "groups").items():
        tasks.setdefault(name, values)
    if len(tasks) > MOST_TASKS:
        raise CorruptError(f"{what}: {len(tasks):,} tasks are over the limit of {MOST_TASKS:,}")
    harness = _harness(document)
    found = []
    for name, values in tasks.items():
        if isinstance(values, dict):
            found.append(_read_task(document, name, values, harness, left_out))
        else:
            left_out.add(f"results.{name}", "is not a table")
    return [evidence for evidence in found if evidence.metrics]


def _read_task(
    document: dict[str, Any], task: str, values: dict[str, Any], harness: dict[str, object], left_out: LeftOut
) -> Evidence:
    configs = _table(document, "configs") or _table(document, "config_tasks")
    config = _table(configs, task) or _table(configs, task.rpartition("|")[0])  # lighteval's are without the examples
    counted = _table(_table(document, "n-samples"), task).get("effective", values.get("sample_len"))
    samples = counted if isinstance(counted, int) and not isinstance(counted, bool) and counted >= 0 else None
    listed = config.get("metric_list")
    stated = {
        str(item["metric"]): item.get("higher_is_better")
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, dict) and "metric" in item
    }
    stated |= _table(_table(document, "higher_is_better"), task)
    directions = {name: "higher" if high else "lower" for name, high in stated.items() if isinstance(high, bool)}
    metrics: list[Metric] = []
    for filter_name, table in _by_filter(values).items():
        place = f"results.{task}."
        errors = standard_errors(table, left_out, place)
        for name, value in table.items():
            if base_of_error(name, table) is not None or value in _EMPTY:
                continue
            key = f"{name},{filter_name}" if filter_name else name
            parts = {"direction": directions.get(name), "samples": samples, **error_parts(value, errors.get(name))}
            metric = make_metric(left_out, place + key, name if filter_name in {"", NO_FILTER} else key, value, parts)
            if metric is not None:
                metrics.append(metric)
    dataset = _dataset(document, task, config)
    return Evidence("automated", tuple(metrics), at=_moment(document), harness=harness, dataset=dataset)


def _by_filter(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the values by the filter that their keys name; where none names one, all that are no remarks."""
    if not any("," in key for key in values):
        return {"": {key: value for key, value in values.items() if key not in _BESIDE_METRICS}}
    tables: dict[str, dict[str, Any]] = defaultdict(dict)
    for key, value in values.items():
        name, comma, filter_name = key.partition(",")
        if comma:
            tables[filter_name][name] = value
    return tables


def _dataset(document: dict[str, Any], task: str, config: dict[str, Any]) -> dict[str, object]:
    version = _table(document, "versions").get(task)
    split = config.get("test_split") or config.get("validation_split")
    shots = _table(document, "n-shot").get(task)
    path = config.get("dataset_path") or config.get("hf_repo")
    fields = {
        "name": task,
        "version": None if version is None else str(version),
        "split": split if isinstance(split, str) else None,
        "path": path if isinstance(path, str) else None,
        "shots": shots if isinstance(shots, int) else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _harness(document: dict[str, Any]) -> dict[str, object]:
    """Return which tool wrote the file, as far as it says so itself: many write files of this form."""
    name: str | None = None
    version: object = None
    configs = _table(document, "configs").values()
    if "lmms_eval_version" in document or any(
        isinstance(config, dict) and "lmms_eval_specific_kwargs" in config for config in configs
    ):
        name, version = MULTIMODAL_HARNESS, document.get("lmms_eval_version")
    elif "lighteval_sha" in _table(document, "config_general") or {"config_general", "config_tasks"} <= document.keys():
        name, version = LIGHTEVAL, _table(document, "config_general").get("lighteval_sha")
    elif "lm_eval_version" in document or any(field in _table(document, "config") for field in _OF_OLD_HARNESS):
        name, version = HARNESS, document.get("lm_eval_version") or document.get("git_hash")
    if name is None:
        return {}
    return (
        {"name": name, "version": version} if isinstance(version, str) and version not in {"", "?"} else {"name": name}
    )


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
