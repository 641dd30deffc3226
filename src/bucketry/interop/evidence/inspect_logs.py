"""Reads a log of Inspect that was written as JSON.

`eval` says what was run on which data, `results.scores` has for each scorer `{name, reducer, metrics: {accuracy:
{value}, stderr: {value}}}`. Each scorer is one evaluation; a standard error belongs to the accuracy or the mean beside
it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeGuard

from bucketry.interop.evidence.metric_tables import error_parts
from bucketry.schema.documents.evidence import Evidence
from bucketry.schema.foreign_values import NoValueError, make_metric, read_number

if TYPE_CHECKING:
    from bucketry.schema.foreign_values import LeftOut

HARNESS = "inspect_ai"
ERROR, DEVIATION = "stderr", "std"
_MEANS = ("accuracy", "mean")


def is_inspect_log(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value is a log of Inspect."""
    results = value.get("results") if isinstance(value, dict) and isinstance(value.get("eval"), dict) else None
    return isinstance(results, dict) and isinstance(results.get("scores"), list)


def read_inspect_log(log: dict[str, Any], left_out: LeftOut) -> list[Evidence]:
    """Return one evaluation for each scorer."""
    if log.get("status") not in {None, "success"}:
        left_out.add("status", f"is {log['status']!a}: the run did not come to its end")
    samples = log["results"].get("completed_samples")
    run = log["eval"]
    packages, stated = run.get("packages"), run.get("dataset")
    version = packages.get(HARNESS) if isinstance(packages, dict) else None
    harness: dict[str, object] = {"name": HARNESS}
    harness |= {"version": version} if isinstance(version, str) else {}
    data = stated.get("name") if isinstance(stated, dict) else None
    fields = {"name": data or run.get("task"), "task": run.get("task"), "args": run.get("task_args")}
    dataset = {field: value for field, value in fields.items() if value and isinstance(value, str | dict)}
    at = _moment(run)
    found = []
    for place, score in enumerate(log["results"]["scores"]):
        table = score.get("metrics") if isinstance(score, dict) else None
        if not isinstance(table, dict):
            left_out.add(f"results.scores[{place}]", "has no metrics")
            continue
        values = {name: one.get("value") if isinstance(one, dict) else one for name, one in table.items()}
        parts = _spread(values, left_out, f"results.scores[{place}]")
        mean = next((name for name in _MEANS if name in values), None)
        metrics = []
        for name, value in values.items():
            if mean is not None and name in {ERROR, DEVIATION}:
                continue
            said: dict[str, object] = {"samples": samples}
            if name == mean:
                said |= error_parts(value, parts.get(ERROR)) | {"deviation": parts.get(DEVIATION)}
            metrics.append(make_metric(left_out, f"results.scores[{place}].metrics.{name}", name, value, said))
        scorer = " ".join(text for text in (score.get("name"), score.get("reducer")) if isinstance(text, str) and text)
        measured_on = dataset | ({"metric": scorer} if scorer else {})
        kept = tuple(metric for metric in metrics if metric is not None)
        found.append(Evidence("automated", kept, at=at, harness=harness, dataset=measured_on))
    return [evidence for evidence in found if evidence.metrics]


def _spread(values: dict[str, Any], left_out: LeftOut, place: str) -> dict[str, float]:
    """Return the standard error and the deviation of a scorer's mean."""
    found = {}
    for name in (ERROR, DEVIATION):
        if name in values:
            try:
                found[name] = read_number(values[name])
            except NoValueError as fault:
                left_out.add(f"{place}.metrics.{name}", str(fault))
    return found


def _moment(run: dict[str, Any]) -> str | None:
    try:
        moment = datetime.fromisoformat(run["created"])
    except (KeyError, TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
