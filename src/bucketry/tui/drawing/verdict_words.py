"""With which words, signs and figures is a comparison shown? Colour is never the only sign."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bucketry.schema.judging.comparison import ASSUMED_MARK
from bucketry.schema.judging.verdicts import LEAST_SAMPLES, Reason, Verdict
from bucketry.tui.drawing.figures import NOTHING, short_number, short_size
from bucketry.tui.drawing.paint import Role, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.schema.documents.evidence import Slice
    from bucketry.schema.judging.comparison import Comparison, MetricDiff

_ROLES: Mapping[Verdict, Role] = {
    Verdict.WORSE: "bad",
    Verdict.BETTER: "good",
    Verdict.LOWER: "strong",
    Verdict.HIGHER: "strong",
    Verdict.UNJUDGED: "warn",
    Verdict.NOISE: "dim",
    Verdict.SAME: "dim",
}
_WANTED = {"higher": "up", "lower": "down"}
_SHORT_REASONS = {
    Reason.NO_DIRECTION: "no direction",
    Reason.ONLY_IN_BASELINE: "baseline only",
    Reason.NOT_IN_BASELINE: "not in baseline",
    Reason.IN_NEITHER: "in neither",
    Reason.FEW_SAMPLES: f"n<{LEAST_SAMPLES}",
}
GREATEST_PERCENT = 9.995
DIGEST_DIGITS = 8
GREATEST_FIXED = 100_000
LEAST_FIXED = 0.00005


def verdict_span(metric: MetricDiff, other: int, *, with_reason: bool = True) -> Span:
    """Return a verdict's word and sign; for one that could not be given, why."""
    one = metric.comparisons[other]
    if one.verdict is not Verdict.UNJUDGED:
        return Span(one.word, _ROLES[one.verdict])
    reason = _SHORT_REASONS.get(one.reason, one.reason.value)
    return Span(f"? {reason}" if with_reason else "?", _ROLES[one.verdict])


def wanted_text(metric: MetricDiff) -> str:
    """Return which way is better: `up`, `down` (with a star where it is assumed), or `-` where nobody said."""
    if metric.direction is None:
        return NOTHING
    return _WANTED[metric.direction] + (ASSUMED_MARK if metric.direction_assumed else "")


def aligned_number(metric: MetricDiff, place: int) -> str:
    """Return the value of one version, with as many decimals as the others' have."""
    value = metric.values[place]
    decimals = _decimals(metric)
    return short_number(value) if value is None or decimals is None else _fixed(value, decimals)


def signed_text(metric: MetricDiff, other: int) -> str:
    """Return a difference with its sign: `+.0028`; more digits than the values have where it would be lost."""
    delta = metric.comparisons[other].delta
    if delta is None:
        return NOTHING
    decimals = _decimals(metric)
    text = short_number(delta) if decimals is None or round(delta, decimals) == 0 else _fixed(delta, decimals)
    return f"+{text}" if delta > 0 else text


def percent_text(one: Comparison) -> str:
    """Return a difference in parts of the baseline's value: `+0.3%`."""
    if one.relative is None:
        return NOTHING
    if not one.relative:
        return "0%"
    if abs(one.relative) >= GREATEST_PERCENT:
        return ">+999%" if one.relative > 0 else "<-999%"
    return f"{one.relative:+.1%}"


def slice_text(part: Slice) -> str:
    """Return the values of a slice's attributes, whose names stand above."""
    return ", ".join(value for _, value in part)


def metric_text(metric: MetricDiff) -> str:
    """Return a metric's name with its unit, and its kind where that is not the usual one."""
    unit = f" ({metric.unit})" if metric.unit else ""
    kind = f" [{metric.kind}]" if metric.kind != "automated" else ""
    return f"{metric.name}{unit}{kind}"


def column_title(name: str, width: int) -> str:
    """Return a version's name for a column: of `credit-risk:12` the number stays, whatever is cut."""
    model, colon, version = name.rpartition(":")
    if len(name) <= width or not colon:
        return name
    return f"{model[: max(0, width - len(version) - 2)]}~:{version}"


def value_text(value: object) -> str:
    """Return a parameter's, a file's or a dataset's value on one line."""
    if value is None:
        return "null"
    if isinstance(value, dict) and {"sha256", "size_bytes"} == value.keys():
        return f"{short_size(value['size_bytes'])} {value['sha256'][:DIGEST_DIGITS]}"
    if isinstance(value, dict):
        return ", ".join(f"{name}={value_text(one)}" for name, one in value.items())
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _decimals(metric: MetricDiff) -> int | None:
    """Return how many decimals suit all values of a metric, None where they are too great or too small for any."""
    sizes = [abs(value) for value in metric.values if value is not None]
    if not sizes or max(sizes) >= GREATEST_FIXED or 0 < max(sizes) < LEAST_FIXED:
        return None
    if all(size == int(size) for size in sizes):
        return 0
    return 4 if max(sizes) < 1 else 3 if max(sizes) < 10 else 1


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text
