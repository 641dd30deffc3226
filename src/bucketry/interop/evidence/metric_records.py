"""Reads JSON objects that name their metric or their data: `{"dataset": "mmlu", "metric": "acc", "value": 0.5}`.

The same as a table with these titles: rows as pandas (`orient="records"`, `lines=True`) and many scripts write them. To
take such objects for names and values would lose the names.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.interop.evidence.foreign_text import load_json
from bucketry.interop.evidence.metrics_csv import Cell, evaluations_of_cells, is_known_title, title_of, wide_cells
from bucketry.schema.documents.evidence import MOST_METRICS, check_evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.schema.documents.evidence import Evidence
    from bucketry.schema.foreign_values import LeftOut

_SIGNATURE = "signature"
"""With what settings sacrebleu measured; its version stands in there too, and is not one of the data."""


def read_records(value: object, left_out: LeftOut, *, what: str) -> list[Evidence] | None:
    """Return one evaluation for each kind and data set; None for what is no such objects."""
    items = value if isinstance(value, list) else [value]
    if not 0 < len(items) <= MOST_METRICS:
        return None
    rows: list[dict[str, object]] = []
    for item in items:
        if not isinstance(item, dict) or not _is_flat(item):
            return None
        named = dict(item)
        if _SIGNATURE in item and "score" in item:
            named["args"] = named.pop(_SIGNATURE)
            named.pop("version", None)
        rows.append({title_of(name): one for name, one in named.items() if one is not None})
    cells: list[Cell] = []
    others = [one for row in rows for name, one in row.items() if not is_known_title(name, also_of_metrics=True)]
    # Each is one metric, and no other number stands in it that would be another.
    is_named = all(isinstance(row.get("name"), str) and "value" in row for row in rows)
    if is_named and all(isinstance(one, bool | str) for one in others):
        for at, row in enumerate(rows, 1):
            about = {name: _text(one) for name, one in row.items() if is_known_title(name, also_of_metrics=True)}
            for name in (name for name in row if name not in about):
                left_out.add(f"[{at}].{name}", "says nothing that is recorded")
            name = about.pop("name")
            cells.append(Cell(f"[{at}] ({name!a})", name, about.pop("value"), about))
    elif isinstance(value, list) and len(rows) > 1 and all(any(map(is_known_title, row)) for row in rows):
        for at, row in enumerate(rows, 1):
            about = {name: _text(one) for name, one in row.items() if is_known_title(name)}
            measured = {name: _text(one) for name, one in row.items() if name not in about}
            cells += wide_cells(measured, about, f"[{at}].{{}}".format)
    else:
        return None
    return [check_evidence(evidence, what=what) for evidence in evaluations_of_cells(cells, left_out)]


def find_lines(text: str) -> list[object] | None:
    """Return the objects of a text with one on each line; None for any other."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not 1 < len(lines) <= MOST_METRICS:
        return None
    try:
        return [load_json(line, what="a line") for line in lines]
    except CorruptError:
        return None


def _is_flat(item: Mapping[str, object]) -> bool:
    return len({title_of(name) for name in item}) == len(item) and not any(
        isinstance(one, dict | list) for one in item.values()
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
