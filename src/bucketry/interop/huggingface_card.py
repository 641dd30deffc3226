"""What does the `model-index` of a Hugging Face model card say?

A card begins with YAML between two lines `---`. There, `model-index` is a list of `{name, results: [{task, dataset:
{type, name, config, split, revision}, metrics: [{type, name, value}]}]}`. Each result is one evaluation; a metric is
called by its `type`, or by its `name` where a result has several of one type. Which way is better the card does not
say.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from bucketry.errors import CorruptError
from bucketry.schema.evidence import Evidence, Metric, check_number

if TYPE_CHECKING:
    from collections.abc import Iterator

FENCE = b"---"
LARGEST_FRONT_MATTER_BYTES = 2 * 1024 * 1024
"""Cards of models that were measured on a hundred benchmarks have several hundred kB."""
DEEPEST_NESTING = 32
MOST_NODES = 500_000

_FRONT_MATTER = re.compile(rb"---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_NO_TYPE = frozenset({"", "unknown", "custom"})


def read_card(body: bytes, *, what: str) -> list[Evidence]:
    """Return one evaluation for each result in the card; raise `CorruptError` that names the place."""
    found = _FRONT_MATTER.match(body)
    if found is None:
        raise CorruptError(f"{what} begins like a model card, but its front matter has no end", advice="close it: ---")
    document = _load_yaml(found[1], what)
    models = document.get("model-index") if isinstance(document, dict) else None
    if not models:
        raise CorruptError(f"{what} is a model card without model-index", advice="give the metrics as JSON or CSV")
    return [
        _read_result(result, f"{what}: {place}")
        for place, model in _iter_items(models, "model-index", what)
        for place, result in _iter_items(model.get("results"), f"{place}.results", what)
    ]


def _read_result(result: dict[str, Any], what: str) -> Evidence:
    items = [item for _, item in _iter_items(result.get("metrics"), "metrics", what)]
    types = Counter(str(item.get("type", "")) for item in items)
    metrics = []
    for index, item in enumerate(items):
        kind, name = str(item.get("type") or ""), str(item.get("name") or "")
        chosen = kind if types[kind] == 1 and kind not in _NO_TYPE else name or kind
        value = check_number(item.get("value"), what=f"{what}.metrics[{index}] ({chosen!a})")
        metrics.append(Metric(chosen, value))
    source = result.get("source")
    url = source.get("url") if isinstance(source, dict) else None
    return Evidence(
        "automated",
        tuple(metrics),
        harness={"name": "model-index", "uri": url} if isinstance(url, str) else {"name": "model-index"},
        dataset=_dataset(result.get("dataset")),
    )


def _dataset(found: object) -> dict[str, object]:
    """Return the data set: its `type` is its name on the hub, and a config of it is a data set of its own."""
    if not isinstance(found, dict):
        return {}
    texts = {name: str(value) for name, value in found.items() if isinstance(value, str | int | float) and value != ""}
    kind = texts.get("type", "")
    name = texts.get("name", kind) if kind in _NO_TYPE else kind
    if texts.get("config") and texts["config"] != "default":
        name = f"{name}:{texts['config']}"
    fields = {"name": name, "version": texts.get("revision"), "split": texts.get("split")}
    return {field: value for field, value in fields.items() if value}


def _iter_items(value: object, place: str, what: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(value, list):
        raise CorruptError(f"{what}: {place} is not a list")
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise CorruptError(f"{what}: {place}[{index}] is not an object")
        yield f"{place}[{index}]", item


def _load_yaml(body: bytes, what: str) -> object:
    """Return what the front matter says, by the safe loader, once its size, depth and aliases are known.

    An alias can make a few lines stand for gigabytes, so none is taken.
    """
    import yaml  # noqa: PLC0415 - only a card needs it

    if len(body) > LARGEST_FRONT_MATTER_BYTES:
        raise CorruptError(f"{what}: the front matter is larger than {LARGEST_FRONT_MATTER_BYTES:,} bytes")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for count, event in enumerate(yaml.parse(body, Loader=loader)):
            if isinstance(event, yaml.AliasEvent):
                raise CorruptError(f"{what}: the alias *{event.anchor} is not taken", advice="write out what it names")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST_NESTING or count > MOST_NODES:
                raise CorruptError(f"{what}: the front matter is too large, or deeper than {DEEPEST_NESTING} levels")
        return yaml.load(body, Loader=loader)  # noqa: S506 - it is the safe loader, in C where there is one
    except (yaml.YAMLError, ValueError, TypeError) as error:
        first = " ".join(str(error).split())[:200]
        raise CorruptError(f"{what}: the front matter is not valid YAML: {first}", advice="mend it") from error
