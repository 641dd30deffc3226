"""On which data something was measured: what tells that from other data, and what it is called in a table.

A data set's name alone does not say it: one of several configurations, another task on the same examples, arguments of
the evaluation. Whatever a file uses to tell its results apart is one of `IDENTITY`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

IDENTITY = ("name", "title", "config", "version", "split", "task", "args", "metric", "result")
"""The fields of an evaluation's `dataset` that make it this data.

`args` are those of the evaluation, `metric` those of the metric itself; `result` is the place among equals of one file.
"""
USUAL_CONFIG = "default"
_FIRST = ("title", "config", "task", "args", "metric", "result")
"""What comes before the name in a table where it differs: behind a long name it would be cut off."""
_LEAST_SHARED = 6
"""So many characters have to begin all of some texts before these are left out."""
_BREAKS = "=,:;/|_-. "


@frozen
class Dataset:
    """What a metric was measured on; a version that differs among compared versions is None."""

    name: str | None = None
    title: str | None = None
    config: str | None = None
    version: str | None = None
    split: str | None = None
    task: str | None = None
    args: str | None = None
    metric: str | None = None
    result: str | None = None

    @property
    def text(self) -> str:
        """All of it in words, empty where nothing is known."""
        return " ".join(_words(self, IDENTITY))

    def to_document(self) -> dict[str, object]:
        """Return the JSON form, without the fields that are not known."""
        return {name: value for name in IDENTITY if (value := getattr(self, name)) is not None}


def dataset_of(stated: Mapping[str, object]) -> Dataset:
    """Return the data that an evaluation names."""
    return Dataset(**{name: field_text(stated.get(name)) for name in IDENTITY})


def field_text(value: object) -> str | None:
    """Return a field of a data set as it is compared: a text as it stands, `{"shots": 5}` as `shots=5`; None if empty.

    Tables of the same content give the same text, in whatever order they were written.
    """
    if value is None or value in ("", {}, []):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and all(isinstance(inner, str | int | float) for inner in value.values()):
        return ", ".join(f"{name}={field_text(value[name]) or ''}" for name in sorted(value))
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def unnamed_repeats(
    values: Mapping[tuple[Hashable, Dataset], Sequence[object]],
) -> frozenset[tuple[Hashable, Dataset]]:
    """Return the measurements without named data that are those of the same thing, on data that is named, once more.

    `values` has for each what was measured, and its value in each version (None: not measured). A publish often names
    no data; an evaluation that gives the same value and does is no second measurement.
    """
    nowhere = Dataset()
    named: dict[Hashable, list[Sequence[object]]] = defaultdict(list)
    for (thing, dataset), found in values.items():
        if dataset != nowhere:
            named[thing].append(found)

    def is_repeat(thing: Hashable, found: Sequence[object]) -> bool:
        return all(
            value is None or any(other[place] == value for other in named[thing]) for place, value in enumerate(found)
        )

    return frozenset(key for key, found in values.items() if key[1] == nowhere and is_repeat(key[0], found))


def dataset_labels(datasets: Iterable[Dataset]) -> dict[Dataset, str]:
    """Return for each data set of a table what it is called there: short, and beginning with what tells it apart.

    A task is named only where data of one name differ in it; of a name such as `owner/data`, the owner only where two
    have such data.
    """
    found = list(dict.fromkeys(datasets))
    groups: dict[str | None, list[Dataset]] = defaultdict(list)
    for dataset in found:
        groups[dataset.name].append(dataset)
    ends = {name: name.rpartition("/")[2] or name for name in groups if name}
    recurring = Counter(ends.values())
    labels: dict[Dataset, str] = {}
    for name, members in groups.items():
        shown = "" if not name else ends[name] if recurring[ends[name]] == 1 else name
        texts = _labels_of_one_name(members, shown, with_fields=False)
        if len(set(texts)) < len(texts):  # one's configuration reads like another's arguments
            texts = _labels_of_one_name(members, shown, with_fields=True)
        labels |= dict(zip(members, texts, strict=True))
    return {dataset: labels[dataset] for dataset in found}


def _labels_of_one_name(members: Sequence[Dataset], name: str, *, with_fields: bool) -> list[str]:
    differing = [field for field in _FIRST if len({getattr(one, field) for one in members}) > 1]
    usual = [field for field in ("config", "version", "split", "args", "metric") if field not in differing]
    shared = {field: _shared_start([getattr(one, field) for one in members]) for field in differing}
    if with_fields:
        differing, usual = [field for field in IDENTITY if field != "name"], []
    labels = []
    for one in members:
        first = [
            f"{field}={value}" if with_fields else _shown(field, value, shared[field])
            for field in differing
            if (value := getattr(one, field))
        ]
        labels.append(" ".join([*first, *([name] if name else []), *_words(one, usual)]))
    return labels


def _words(dataset: Dataset, fields: Sequence[str]) -> list[str]:
    found = [(field, getattr(dataset, field)) for field in fields]
    return [_shown(field, value, 0) for field, value in found if value and (field, value) != ("config", USUAL_CONFIG)]


def _shown(field: str, value: str, shared: int) -> str:
    if field == "result":
        return f"#{value}"
    return f"..{value[shared:]}" if shared else value


def _shared_start(texts: Sequence[str | None]) -> int:
    """Return how many characters begin all of some texts, up to a break between words; 0 for only a few."""
    # What the first and the last in order begin with, all between them do.
    first, last = min(text or "" for text in texts), max(text or "" for text in texts)
    same = next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    end = max(first.rfind(mark, 0, same) for mark in _BREAKS) + 1
    return end if end >= _LEAST_SHARED else 0
