"""Leaves out of what a caller in Python measured what cannot be compared.

A training job that publishes at its end must not lose the version because one of its metrics is NaN: that one is left
out by name, in the result and as a warning, as the command line does it with files. Whether the rest is evidence at all
is not decided here: `publish` and `evaluate` ask `plain_evidence`, whoever calls them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bucketry.errors import UsageError
from bucketry.schema.arguments import plain_evidence, plain_text, plain_values, scalar_of
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.foreign_values import LeftOut, make_metric

MOST_WARNED = 10
"""So many things that were left out are told one by one."""


def usable_evidence(
    metrics: Mapping[str, float] | None, evidence: Sequence[Evidence], *, strict: bool, callers: int = 3
) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
    """Return what a caller measured, and what was left out of it, which is warned of.

    The warning names the line `callers` frames up. `metrics` is plain automated evidence. `strict` refuses instead.
    Raises `UsageError`, also where nothing is left.
    """
    left_out = LeftOut()
    plain = [] if metrics is None else _plain_metrics(metrics, left_out)
    found = [Evidence("automated", tuple(plain))] if plain else []
    given = (evidence,) if isinstance(evidence, Evidence) else evidence
    if not isinstance(given, Sequence) or not all(isinstance(item, Evidence) for item in given):
        plain_evidence(given)  # which says what is expected
    found += [_usable(item, left_out, f"evidence[{at}]") for at, item in enumerate(given)]
    if left_out.notes and (strict or not any(item.metrics or item.notes for item in found)):
        raise UsageError("; ".join(left_out.notes[:MOST_WARNED]), advice="leave it out, or measure it")
    for note in left_out.notes[:MOST_WARNED]:
        warnings.warn(f"left out: {note}", stacklevel=callers)
    return tuple(found), tuple(left_out.notes)


def _plain_metrics(metrics: object, left_out: LeftOut) -> list[Metric]:
    if not isinstance(metrics, Mapping):
        plain_values(metrics, "metrics")  # which says what is expected
        return []
    found = []
    for key, value in metrics.items():
        name = plain_text(key, "a name in metrics", one_line=True)
        metric = make_metric(left_out, f"metric {name!a}", name, scalar_of(value))
        if metric is not None:
            found.append(metric)
    return found


def _usable(item: Evidence, left_out: LeftOut, place: str) -> Evidence:
    """Return an evaluation without values that are not finite. What is no number is refused, where all is checked."""
    if not isinstance(item.metrics, tuple | list):
        return item
    kept = []
    for metric in item.metrics:
        if isinstance(metric, Metric) and _is_infinite(metric.value):
            left_out.add(f"{place}: metric {metric.name!a}", f"is {metric.value}, which cannot be compared")
        else:
            kept.append(metric)
    return item if len(kept) == len(item.metrics) else replace(item, metrics=tuple(kept))


def _is_infinite(value: object) -> bool:
    number = scalar_of(value)
    return isinstance(number, float) and not math.isfinite(number)
