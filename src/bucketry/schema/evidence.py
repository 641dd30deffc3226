"""What does one evaluation of a version say?

Slices (`{"age": "18-25"}`) make fairness across groups and latency by percentile the same shape as everything else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UsageError
from bucketry.schema.codec import Document, Fields, decode_foreign

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KINDS = ("automated", "human", "safety")
DIRECTIONS = ("higher", "lower")
LONGEST_METRIC_NAME = 128


@dataclass(frozen=True, slots=True)
class Confidence:
    """A confidence interval at a level between 0 and 1."""

    low: float
    high: float
    level: float

    def to_document(self) -> Document:
        """Return the JSON form."""
        return {"low": self.low, "high": self.high, "level": self.level}


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured value. `direction` says which way is better, where somebody said so."""

    name: str
    value: float
    unit: str | None = None
    direction: str | None = None
    slice: Mapping[str, str] = field(default_factory=dict)
    confidence: Confidence | None = None
    samples: int | None = None
    extra: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> Document:
        """Return the JSON form, without the fields that are empty."""
        optional: Document = {
            "unit": self.unit,
            "direction": self.direction,
            "slice": dict(self.slice) or None,
            "confidence": self.confidence.to_document() if self.confidence else None,
            "samples": self.samples,
        }
        return (
            dict(self.extra)
            | {"name": self.name, "value": self.value}
            | {name: value for name, value in optional.items() if value is not None}
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """One evaluation: by whom, with what harness, on which data, and what was measured."""

    kind: str
    metrics: tuple[Metric, ...]
    at: str | None = None
    by: str | None = None
    harness: Mapping[str, object] = field(default_factory=dict)
    dataset: Mapping[str, object] = field(default_factory=dict)
    notes: str = ""
    extra: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> Document:
        """Return the JSON form, without the fields that are empty."""
        optional: Document = {
            "at": self.at,
            "by": self.by,
            "harness": dict(self.harness),
            "dataset": dict(self.dataset),
            "notes": self.notes,
        }
        return (
            dict(self.extra)
            | {"kind": self.kind, "metrics": [metric.to_document() for metric in self.metrics]}
            | {name: value for name, value in optional.items() if value}
        )


def parse_evidence(body: bytes, *, what: str) -> Evidence:
    """Return the evidence of a file that a user gives: our JSON, or simply `{"auc": 0.91}`; raise `UsageError`."""
    try:
        document = decode_foreign(body, what=what)
        if "metrics" in document:
            return read_evidence(Fields(document, what=what))
        return evidence_from_values(document, what=what)
    except CorruptError as error:
        raise UsageError(
            error.message, advice='write {"auc": 0.91} or {"kind": "automated", "metrics": [...]}'
        ) from error


def evidence_from_values(values: Mapping[str, object], *, what: str) -> Evidence:
    """Return plain automated evidence of `{name: number}`; raise `CorruptError`."""
    fields = Fields(dict(values), what=what)
    return Evidence("automated", tuple(_checked(Metric(name, fields.number(name)), what) for name in values))


def headline_values(evidence: Sequence[Evidence], names: Sequence[str] = ()) -> dict[str, float]:
    """Return name and value of the metrics over whole datasets: those named, in that order, else all in theirs."""
    values: dict[str, float] = {}
    for item in evidence:
        for metric in item.metrics:
            if not metric.slice:
                values.setdefault(metric.name, metric.value)
    return {name: values[name] for name in names if name in values} if names else values


def read_evidence(fields: Fields) -> Evidence:
    """Return the evidence in a document; raise `CorruptError`."""
    kind = fields.text("kind", default="automated")
    if kind not in KINDS:
        raise CorruptError(f"{fields.what}: kind is not one of {', '.join(KINDS)}")
    metrics = tuple(_read_metric(inner) for inner in fields.inners("metrics"))
    seen = set()
    for metric in metrics:
        identity = (metric.name, tuple(sorted(metric.slice.items())))
        if identity in seen:
            raise CorruptError(f"{fields.what}: metric {metric.name!a} stands twice with the same slice")
        seen.add(identity)
    return Evidence(
        kind=kind,
        metrics=metrics,
        at=fields.optional_text("at"),
        by=fields.optional_text("by"),
        harness=fields.table("harness"),
        dataset=fields.table("dataset"),
        notes=fields.text("notes", default=""),
        extra=fields.rest(),
    )


def _read_metric(fields: Fields) -> Metric:
    confidence = fields.inner("confidence") if fields.table("confidence") else None
    metric = Metric(
        name=fields.text("name"),
        value=fields.number("value"),
        unit=fields.optional_text("unit"),
        direction=fields.optional_text("direction"),
        slice=fields.texts("slice"),
        confidence=_read_confidence(confidence) if confidence else None,
        samples=fields.optional_integer("samples"),
        extra=fields.rest(),
    )
    return _checked(metric, fields.what)


def _read_confidence(fields: Fields) -> Confidence:
    confidence = Confidence(fields.number("low"), fields.number("high"), fields.number("level", default=0.95))
    if confidence.low > confidence.high or not 0 < confidence.level < 1:
        raise CorruptError(f"{fields.what}: low is above high, or level is not between 0 and 1")
    return confidence


def _checked(metric: Metric, what: str) -> Metric:
    if not metric.name or len(metric.name) > LONGEST_METRIC_NAME:
        raise CorruptError(f"{what}: a metric's name has 1 to {LONGEST_METRIC_NAME} characters")
    if metric.direction is not None and metric.direction not in DIRECTIONS:
        raise CorruptError(f"{what}: direction of {metric.name!a} is not 'higher' or 'lower'")
    return metric
