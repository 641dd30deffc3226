"""Lists the metrics, parameters and labels that a model's versions have, with their values in the rows of a list.

A field is spelled as a column is named: `metric:auc`, `metric:auc[age=18-25]`, `param:optim.lr`, `label:team`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal, get_args

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.schema.search.details import parse_slice_text, slice_text
from bucketry.schema.search.query import parse_metric_name, spell_metric

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from bucketry.index.store import Index
    from bucketry.schema.documents.evidence import Slice
    from bucketry.schema.names import ModelName

Kind = Literal["metric", "param", "label"]
Value = float | str

MOST_FIELDS = 400
VERSIONS_LOOKED_AT = 64
"""What the newest versions have is offered: a metric that was given up years ago is not."""
HEADLINES_LOOKED_AT = 24
MOST_HEADLINES = 8
_NEWEST = (
    "SELECT v.id FROM versions v JOIN models m ON m.id = v.model_id"
    " WHERE m.name = ? AND v.state <> 'deleted' ORDER BY v.version DESC LIMIT ?"
)


@frozen
class Field:
    """Something that versions of a model may have, by its name; only metrics have slices."""

    kind: Kind
    name: str
    slice: Slice = ()

    @property
    def spelled(self) -> str:
        """The name of its column."""
        return f"{self.kind}:{spell_metric(self.name, self.slice)}"


@frozen
class Headline:
    """A metric that rows show; `is_whole` where all of its newest values are whole numbers."""

    name: str
    is_whole: bool


def find_field(spelled: str) -> Field | None:
    """Return the field of a column's name; None for a name that spells none."""
    kind, colon, name = spelled.partition(":")
    if not colon or not name:
        return None
    if kind == "metric":
        try:
            return Field("metric", *parse_metric_name(name))
        except UsageError:
            return Field("metric", name)  # an evaluation may name its metrics as it likes
    return next((Field(known, name) for known in get_args(Kind) if known == kind), None)


def load_headlines(index: Index, model: ModelName) -> tuple[Headline, ...]:
    """Return the headline metrics of a model's newest versions, in the order in which these name them."""
    with index.reading() as connection:
        found = connection.execute(
            "SELECT v.metrics FROM versions v JOIN models m ON m.id = v.model_id "
            "WHERE m.name = ? AND v.state <> 'deleted' ORDER BY v.version DESC LIMIT ?",
            (str(model), HEADLINES_LOOKED_AT),
        ).fetchall()
    values: dict[str, list[float]] = {}
    for (metrics,) in found:
        for name, value in json.loads(metrics).items():
            values.setdefault(name, []).append(value)
    return tuple(
        Headline(name, all(float(value).is_integer() for value in known))
        for name, known in list(values.items())[:MOST_HEADLINES]
    )


def list_fields(index: Index, model: ModelName) -> list[Field]:
    """Return what the newest versions of a model have, as far as it was read: labels, metrics, then parameters."""
    newest = (str(model), VERSIONS_LOOKED_AT)
    with index.reading() as connection:
        labels = connection.execute(f"SELECT v.labels FROM versions v WHERE v.id IN ({_NEWEST})", newest)  # noqa: S608 - values are parameters
        names = sorted({name for (text,) in labels for name in json.loads(text)})
        metrics = connection.execute(
            f"SELECT DISTINCT name, slice FROM metrics WHERE version_id IN ({_NEWEST})"  # noqa: S608 - values are parameters
            " ORDER BY slice <> '', name, slice LIMIT ?",
            (*newest, MOST_FIELDS),
        ).fetchall()
        parameters = connection.execute(
            f"SELECT DISTINCT name FROM parameters WHERE version_id IN ({_NEWEST}) ORDER BY name LIMIT ?",  # noqa: S608 - values are parameters
            (*newest, MOST_FIELDS),
        ).fetchall()
    return [
        *(Field("label", name) for name in names[:MOST_FIELDS]),
        *(Field("metric", name, parse_slice_text(text)) for name, text in metrics),
        *(Field("param", name) for (name,) in parameters),
    ]


def load_fields(
    connection: sqlite3.Connection, ids: Sequence[int], fields: Iterable[Field]
) -> dict[int, dict[str, Value]]:
    """Return the metrics and parameters among these fields, by the ids of the versions and the fields' spelling."""
    found: dict[int, dict[str, Value]] = {}
    marks = ", ".join("?" * len(ids))
    for field in fields:
        if field.kind == "metric":
            sql = f"SELECT version_id, value FROM metrics WHERE name = ? AND slice = ? AND version_id IN ({marks})"  # noqa: S608 - only marks
            rows = connection.execute(sql, (field.name, slice_text(field.slice), *ids))
        elif field.kind == "param":
            sql = (
                f"SELECT version_id, coalesce(number, text) FROM parameters WHERE name = ? AND version_id IN ({marks})"  # noqa: S608 - only marks
            )
            rows = connection.execute(sql, (field.name, *ids))
        else:  # a version's row has its labels
            continue
        for version_id, value in rows:
            found.setdefault(version_id, {})[field.spelled] = value
    return found


def sorting(field: Field) -> tuple[str, tuple[object, ...], tuple[str, ...]]:
    """Return how a parameter or a label sorts: what to join to `versions v`, its arguments, and by what in turn."""
    if field.kind == "param":
        return (
            "LEFT JOIN parameters o ON o.version_id = v.id AND o.name = ?",
            (field.name,),
            ("o.text IS NOT NULL AND o.number IS NULL", "o.number", "o.text"),
        )
    return "LEFT JOIN labels o ON o.version_id = v.id AND o.name = ?", (field.name.lower(),), ("o.value",)


def needed_details(fields: Iterable[Field], headlines: Mapping[str, object] | Iterable[str]) -> bool:
    """Return whether manifests and evidence have to be read for these fields: rows show the headline metrics."""
    shown = set(headlines)
    return any(
        field.kind == "param" or (field.kind == "metric" and (bool(field.slice) or field.name not in shown))
        for field in fields
    )
