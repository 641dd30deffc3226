"""One line of a comparison in words, signs and figures: the same on a screen, in a table, in Markdown.

Colour is never the only sign. A metric's values get as many decimals as suit all of them, so that points stand below
each other and a difference can be read off.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bucketry.schema.judging.comparison import ASSUMED_MARK
from bucketry.schema.judging.verdicts import LEAST_SAMPLES, Reason, Verdict
from bucketry.show.figures import (
    GREATEST_FIXED,
    LEAST_FIXED,
    NOTHING,
    fixed_text,
    number_text,
    size_text,
)
from bucketry.show.spans import Role, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.schema.documents.evidence import Slice
    from bucketry.schema.judging.comparison import Comparison, MetricDiff

SMALL_SLICES = f"n<{LEAST_SAMPLES}"
WITHOUT_SMALL_SLICES = f"without slices of {SMALL_SLICES}"
_WORDS: Mapping[Verdict, tuple[str, Role]] = {
    Verdict.WORSE: ("v WORSE", "bad"),
    Verdict.BETTER: ("^ better", "good"),
    Verdict.LOWER: ("v lower", "strong"),
    Verdict.HIGHER: ("^ higher", "strong"),
    Verdict.UNJUDGED: ("?", "warn"),
    Verdict.NOISE: ("~ noise", "dim"),
    Verdict.SAME: ("= same", "dim"),
}
_REASONS: Mapping[Reason, str] = {
    Reason.NO_DIRECTION: "no direction",
    Reason.ONLY_IN_BASELINE: "baseline only",
    Reason.NOT_IN_BASELINE: "not in baseline",
    Reason.IN_NEITHER: "in neither",
    Reason.FEW_SAMPLES: SMALL_SLICES,
}
"""Where the reason's own words are too long for a column."""
_WANTED = {"higher": "up", "lower": "down"}
GREATEST_PERCENT = 9.995
SHORT_DIGEST = 8
LONGEST_VALUE = 60


def verdict_span(one: Comparison, *, with_reason: bool = True) -> Span:
    """Return a verdict's sign and word; for one that could not be given, why. A star: it rests on an assumption."""
    word, role = _WORDS[one.verdict]
    if one.verdict is Verdict.UNJUDGED:
        return Span(f"{word} {_REASONS.get(one.reason, one.reason.value)}" if with_reason else word, role)
    return Span(word + ASSUMED_MARK * one.assumed, role)


def wanted_text(metric: MetricDiff) -> str:
    """Return which way is better: `up`, `down` (with a star where it is assumed), or `-` where nobody said."""
    if metric.direction is None:
        return NOTHING
    return _WANTED[metric.direction] + ASSUMED_MARK * metric.direction_assumed


def value_number(metric: MetricDiff, place: int) -> str:
    """Return the value of one version, with as many decimals as the others' have."""
    value = metric.values[place]
    decimals = _decimals(metric)
    return number_text(value) if value is None or decimals is None else fixed_text(value, decimals)


def delta_text(metric: MetricDiff, other: int) -> str:
    """Return a difference with its sign: `+.0028`; more digits than the values have where it would be lost."""
    delta = metric.comparisons[other].delta
    if delta is None:
        return NOTHING
    decimals = _decimals(metric)
    is_lost = decimals is None or round(delta, decimals) == 0
    text = number_text(delta) if decimals is None or is_lost else fixed_text(delta, decimals)
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


def metric_text(metric: MetricDiff) -> str:
    """Return a metric's name with its unit, and its kind where that is not the usual one."""
    unit = f" ({metric.unit})" if metric.unit else ""
    kind = f" [{metric.kind}]" if metric.kind != "automated" else ""
    return f"{metric.name}{unit}{kind}"


def slice_text(part: Slice, *, with_names: bool = False) -> str:
    """Return a slice: the values of its attributes, with their names where these do not stand above."""
    return ", ".join(f"{name}={value}" if with_names else value for name, value in part)


def column_title(name: str, width: int) -> str:
    """Return a version's name for a column: of `credit-risk:12` the number stays, whatever is cut."""
    model, colon, version = name.rpartition(":")
    if len(name) <= width or not colon:
        return name
    return f"{model[: max(0, width - len(version) - 2)]}~:{version}"


def value_text(value: object) -> str:
    """Return a parameter's, a file's or a data set's value on one line, cut where it is very long."""
    text = _whole_text(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _whole_text(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict) and {"sha256", "size_bytes"} == value.keys():
        return f"{size_text(value['size_bytes'])} {value['sha256'][:SHORT_DIGEST]}"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_whole_text(one)}" for name, one in value.items())
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _decimals(metric: MetricDiff) -> int | None:
    """Return how many decimals suit all values of a metric, None where they are too great or too small for any."""
    sizes = [abs(value) for value in metric.values if value is not None]
    if not sizes or max(sizes) >= GREATEST_FIXED or 0 < max(sizes) < LEAST_FIXED:
        return None
    if all(size == int(size) for size in sizes):
        return 0
    return 4 if max(sizes) < 1 else 3 if max(sizes) < 10 else 1
