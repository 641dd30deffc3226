"""Reads a result of MTEB: one task on its splits and languages.

`scores` has for each split a list of `{hf_subset, languages, main_score, ...}`. Each is one evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from bucketry.interop.evidence.metric_tables import table_metrics
from bucketry.schema.documents.evidence import Evidence

if TYPE_CHECKING:
    from bucketry.schema.foreign_values import LeftOut

MARK = "mteb_version"
_SAID = ("hf_subset", "languages")


def is_mteb_result(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value is the result of one task."""
    return isinstance(value, dict) and MARK in value and isinstance(value.get("scores"), dict)


def read_mteb_result(result: dict[str, Any], left_out: LeftOut) -> list[Evidence]:
    """Return one evaluation for each split and subset."""
    version = result[MARK]
    harness: dict[str, object] = {"name": "mteb"}
    harness |= {"version": version} if isinstance(version, str) else {}
    found = []
    for split, rows in result["scores"].items():
        for at, row in enumerate(rows if isinstance(rows, list) else [rows]):
            place = f"scores.{split}[{at}]"
            if not isinstance(row, dict):
                left_out.add(place, "is not a table")
                continue
            fields = {"name": result.get("task_name"), "config": row.get("hf_subset"), "split": split}
            fields["version"] = result.get("dataset_revision")
            dataset = {name: text for name, text in fields.items() if isinstance(text, str) and text}
            metrics = table_metrics(row, left_out, f"{place}.", ignored=_SAID)
            found.append(Evidence("automated", tuple(metrics), harness=harness, dataset=dataset))
    return [evidence for evidence in found if evidence.metrics]
