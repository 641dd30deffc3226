"""Reads the evaluations in the front matter of a Hugging Face model card, its `model-index`.

`model-index` is a list of `{name, results: [{task: {type, name}, dataset: {type, name, config, split, revision, args},
metrics: [{type, name, value, config, args}], source: {name, url}}]}`. Each result is one evaluation on its data; a
metric is called by its `type`, or by its `name` where a result has several of one type. All that a card tells results
apart by becomes part of the data set. Which way is better the card does not say.

YAML 1.1 takes `no` for false, 2026-10-07 for a date and 1e-3 for a text; the Hub, which reads YAML 1.2, does not. Here
nothing is taken for anything: each scalar is the text that stands there, and who needs a number reads one. No tag is
obeyed and no object is made.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bucketry.errors import CorruptError
from bucketry.schema.documents.cards import split_front_matter
from bucketry.schema.documents.datasets import dataset_of, field_text
from bucketry.schema.documents.evidence import MOST_METRICS, Evidence
from bucketry.schema.foreign_values import make_metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bucketry.schema.documents.evidence import Metric
    from bucketry.schema.foreign_values import LeftOut

MOST_RESULTS = 1_000
LARGEST_FRONT_MATTER_BYTES = 2 * 1024 * 1024
"""Cards of models that were measured on a hundred benchmarks have several hundred kB."""
DEEPEST_NESTING = 32
MOST_NODES = 500_000
"""Also of those that aliases stand for: a few lines of them can mean gigabytes."""
_NULL = "tag:yaml.org,2002:null"
_NO_TYPE = frozenset({"", "unknown", "custom"})
_OF_DATASET = frozenset({"type", "name", "config", "split", "revision", "args"})


def read_card(text: str, left_out: LeftOut, *, what: str) -> list[Evidence]:
    """Return an evaluation for each result in the card; raise `CorruptError` for a card without any."""
    front, _ = split_front_matter(text)
    if front is None:
        raise CorruptError(f"{what} begins like a model card, but its front matter has no end", advice="close it: ---")
    models = _Reader(what).field(_compose(front, what), "model-index")
    if not models:
        raise CorruptError(f"{what} is a model card without model-index", advice="give the metrics as JSON or CSV")
    if not isinstance(models, list):
        raise CorruptError(f"{what}: model-index is not a list", advice="write it as the Hub's documentation shows")
    results = [
        result
        for place, model in _iter_items(models, "model-index", left_out)
        for result in _iter_items(model.get("results"), f"{place}.results", left_out)
    ]
    titles = _telling_titles([result for _, result in results])
    found: list[Evidence] = []
    count = 0
    for (place, result), title in zip(results, titles, strict=True):
        for evidence in _read_result(result, title, left_out, place):
            found.append(evidence)
            count += len(evidence.metrics)
            if len(found) > MOST_RESULTS or count > MOST_METRICS:
                raise CorruptError(
                    f"{what} has more than {MOST_RESULTS:,} results or {MOST_METRICS:,} metrics",
                    advice="split it, or leave out what nobody compares",
                )
    return found


def _read_result(result: dict[str, Any], title: str | None, left_out: LeftOut, place: str) -> Iterator[Evidence]:
    items = list(_iter_items(result.get("metrics"), f"{place}.metrics", left_out))
    types = Counter(_text(item.get("type")) for _, item in items)
    measured: dict[str | None, list[Metric]] = defaultdict(list)
    for inner, item in items:
        kind, name = _text(item.get("type")), _text(item.get("name"))
        chosen = kind if types[kind] == 1 and kind not in _NO_TYPE else name or kind
        metric = make_metric(left_out, f"{inner} ({chosen!a})", chosen, item.get("value"))
        if metric is not None:
            measured[_joined(item.get("config"), item.get("args"))].append(metric)
    source = result.get("source")
    url = source.get("url") if isinstance(source, dict) else None
    plain = Evidence(
        "automated",
        (),
        harness={"name": "model-index", "uri": url} if isinstance(url, str) else {"name": "model-index"},
        dataset=_dataset(result, title),
    )
    for asked, metrics in measured.items():
        dataset = {**plain.dataset, "metric": asked} if asked else plain.dataset
        yield replace(plain, metrics=tuple(metrics), dataset=dataset)


def _dataset(result: Mapping[str, Any], title: str | None) -> dict[str, object]:
    """Return the data set: its `type` is its name on the hub."""
    found = result.get("dataset")
    stated = found if isinstance(found, dict) else {}
    others = {name: value for name, value in stated.items() if name not in _OF_DATASET}
    kind = _text(stated.get("type"))
    asked = result.get("task")
    task = _text(asked)
    if isinstance(asked, dict):  # its name counts where it says more: not so `Speech Recognition` of an automatic one
        task, called = _text(asked.get("type")), _text(asked.get("name"))
        task = " ".join(text for text in (task, called if _plain(called) not in _plain(task) else "") if text)
    fields = {
        "name": kind if kind not in _NO_TYPE else _text(stated.get("name")) or kind,
        "title": title,
        "config": stated.get("config"),
        "version": stated.get("revision"),
        "split": stated.get("split"),
        "task": task,
        "args": _joined(stated.get("args"), others),
    }
    return {name: text for name, value in fields.items() if (text := field_text(value))}


def _telling_titles(results: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """Return for each result the title of its data where results differ in nothing else."""
    groups: dict[object, list[int]] = defaultdict(list)
    for at, result in enumerate(results):
        groups[dataset_of(_dataset(result, None))].append(at)
    titles: list[str | None] = [None] * len(results)
    for members in groups.values():
        stated = [results[at].get("dataset") for at in members]
        names = [_text(one.get("name")) if isinstance(one, dict) else "" for one in stated]
        if len(set(names)) > 1:
            for at, name in zip(members, names, strict=True):
                titles[at] = name or None
    return titles


def _joined(*values: object) -> str | None:
    return ", ".join(text for value in values if (text := field_text(value))) or None


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _iter_items(value: object, place: str, left_out: LeftOut) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the tables of a list with their places; anything else is left out."""
    if not isinstance(value, list):
        left_out.add(place, "is not a list")
        return
    for index, item in enumerate(value):
        if isinstance(item, dict):
            yield f"{place}[{index}]", item
        else:
            left_out.add(f"{place}[{index}]", "is not a table")


def _compose(text: str, what: str) -> Any:  # noqa: ANN401 - the library's nodes have no types
    import yaml  # noqa: PLC0415 - only a card needs it

    if len(text) > LARGEST_FRONT_MATTER_BYTES:
        raise CorruptError(f"{what}: the front matter is larger than {LARGEST_FRONT_MATTER_BYTES:,} bytes")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for count, event in enumerate(yaml.parse(text, Loader=loader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST_NESTING or count > MOST_NODES:
                raise CorruptError(f"{what}: the front matter is too large, or deeper than {DEEPEST_NESTING} levels")
        return yaml.compose(text, Loader=loader)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        first = " ".join(str(error).split())[:200]
        raise CorruptError(f"{what}: the front matter is not valid YAML: {first}", advice="mend it") from error


class _Reader:
    """Makes plain values of nodes, as many as are allowed: lists, tables and texts, and None for what is empty.

    Raises `CorruptError` for a table with the same key twice, and for too many.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.nodes_left = MOST_NODES

    def field(self, root: Any, name: str) -> object:  # noqa: ANN401
        if root is None or root.id != "mapping":
            return None
        found = [value for key, value in root.value if key.id == "scalar" and key.value == name]
        if len(found) > 1:
            raise CorruptError(f"{self.what}: {name} stands twice in the front matter", advice="make one of them")
        return self.value(found[0], name, DEEPEST_NESTING) if found else None

    def value(self, node: Any, place: str, levels_left: int) -> object:  # noqa: ANN401
        self.nodes_left -= 1
        if self.nodes_left < 0 or levels_left < 0:
            raise CorruptError(
                f"{self.what}: the front matter stands for more than {MOST_NODES:,} values, "
                f"or is deeper than {DEEPEST_NESTING} levels",
                advice="write less with aliases",
            )
        if node.id == "scalar":
            return None if node.tag == _NULL else node.value
        if node.id == "sequence":
            return [self.value(item, f"{place}[{at}]", levels_left - 1) for at, item in enumerate(node.value)]
        table: dict[str, object] = {}
        merged: dict[str, object] = {}
        for name, value in node.value:
            if name.id != "scalar":
                raise CorruptError(f"{self.what}: a key in {place} is no text", advice="mend it")
            key = name.value
            inner = self.value(value, f"{place}.{key}", levels_left - 1)
            if key == "<<":
                for other in reversed(inner if isinstance(inner, list) else [inner]):
                    merged |= other if isinstance(other, dict) else {}
            elif key in table:
                raise CorruptError(f"{self.what}: {place}.{key} stands twice", advice="make one of them")
            else:
                table[key] = inner
        return merged | table
