"""Reads the statistics of a HELM run (`stats.json`).

A list of `{name: {name, split, sub_split, perturbation}, count, mean, stddev}`. What a statistic's name has beside the
metric's tells it apart. On which scenario was measured stands in another file.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeGuard

from bucketry.schema.documents.datasets import field_text
from bucketry.schema.documents.evidence import Evidence
from bucketry.schema.foreign_values import make_metric

if TYPE_CHECKING:
    from bucketry.schema.documents.evidence import Metric
    from bucketry.schema.foreign_values import LeftOut

HARNESS = {"name": "helm"}


def is_helm_stats(value: object) -> TypeGuard[list[Any]]:
    """Return whether a JSON value is a list of statistics."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and isinstance(first.get("name"), dict) and {"count", "sum"} <= first.keys()


def read_helm_stats(stats: list[Any], left_out: LeftOut) -> list[Evidence]:
    """Return one evaluation for each split and perturbation; what was counted nowhere is passed over."""
    groups: dict[tuple[str | None, str | None], list[Metric]] = defaultdict(list)
    for at, stat in enumerate(stats):
        named = stat.get("name") if isinstance(stat, dict) else None
        if not isinstance(named, dict) or not isinstance(named.get("name"), str):
            left_out.add(f"[{at}]", "is not a statistic with a name")
            continue
        if stat.get("count") == 0:
            continue
        parts = {"deviation": stat.get("stddev") if stat.get("count") != 1 else None}
        metric = make_metric(left_out, f"[{at}] ({named['name']!a})", named["name"], stat.get("mean"), parts)
        if metric is None:
            continue
        args = {}  # the rest of the statistic's name; of a perturbation only how it is called
        for name, value in named.items():
            plain = value.get("name", value) if isinstance(value, dict) else value
            if name not in {"name", "split"} and plain is not None:
                args[name] = plain
        groups[field_text(named.get("split")), field_text(args)].append(metric)
    return [
        Evidence(
            "automated",
            tuple(metrics),
            harness=HARNESS,
            dataset={field: text for field, text in (("split", split), ("args", rest)) if text},
        )
        for (split, rest), metrics in groups.items()
    ]
