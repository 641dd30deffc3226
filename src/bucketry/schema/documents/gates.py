"""The rules that a policy may set before a version is approved or promoted, and how each is written.

A gate stands in a policy file and in a policy document in the same words. One that this program does not understand is
kept as it is, and fails: a rule of a newer program must never be passed by an older one.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, assert_never

from bucketry.frozen import frozen
from bucketry.schema.codec import Document, digest_of, encode, without_empty

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.schema.names import AliasName, Digest

MOST_GATES = 64
LONGEST_REASON_CHARACTERS = 240
"""Of a result's texts: 64 results fit into one signed decision."""


@frozen
class MetricSelection:
    """Which measurements a gate looks at: a metric, and where it says so, only some of them.

    `dataset` gives some or all of name, version, split and digest; `slice` is one slice, empty for the whole dataset;
    `every_slice` takes the whole and all slices; `evidence` is the kind of evaluation that counts.
    """

    metric: str
    dataset: Mapping[str, str] = field(default_factory=dict)
    slice: Mapping[str, str] = field(default_factory=dict)
    every_slice: bool = False
    evidence: str | None = None

    @property
    def text(self) -> str:
        """What follows the metric and its limit in a gate's text."""
        parts = []
        if self.dataset:
            parts.append("on " + " ".join(self.dataset.values()))
        if self.every_slice:
            parts.append("in every slice")
        elif self.slice:
            parts.append(f"for {slice_text(self.slice)}")
        if self.evidence:
            parts.append(f"by {self.evidence} evidence")
        return "".join(f" {part}" for part in parts)

    def to_document(self) -> Document:
        """Return the fields of the gate that it belongs to."""
        named_only = set(self.dataset) == {"name"}
        return without_empty(
            {
                "metric": self.metric,
                "dataset": self.dataset["name"] if named_only else dict(self.dataset),
                "slice": dict(self.slice),
                "slices": "all" if self.every_slice else None,
                "evidence": self.evidence,
            }
        )


@frozen
class MetricThreshold:
    """A metric lies within bounds; at least one of them is set. `aliases`: only before these, or everywhere."""

    selection: MetricSelection
    at_least: float | None = None
    at_most: float | None = None
    aliases: tuple[AliasName, ...] = ()

    @property
    def text(self) -> str:
        """The gate in words."""
        bounds = {">=": self.at_least, "<=": self.at_most}
        limits = " and ".join(f"{sign} {number_text(bound)}" for sign, bound in bounds.items() if bound is not None)
        return f"{self.selection.metric} {limits}{self.selection.text}"

    def to_document(self) -> Document:
        """Return the gate as a policy writes it."""
        return self.selection.to_document() | without_empty({"at_least": self.at_least, "at_most": self.at_most})


@frozen
class NoWorse:
    """A metric is no worse than that of the version that an alias names, on the same data, but for a tolerance.

    `direction` says which way is better where the evidence does not.
    """

    selection: MetricSelection
    no_worse_than: AliasName
    tolerance: float = 0.0
    direction: str | None = None
    aliases: tuple[AliasName, ...] = ()

    @property
    def text(self) -> str:
        """The gate in words."""
        by = f" by more than {number_text(self.tolerance)}" if self.tolerance else ""
        return f"{self.selection.metric} no worse than {self.no_worse_than}{by}{self.selection.text}"

    def to_document(self) -> Document:
        """Return the gate as a policy writes it."""
        return self.selection.to_document() | without_empty(
            {
                "no_worse_than": self.no_worse_than,
                "tolerance": self.tolerance or None,
                "direction": self.direction,
            }
        )


@frozen
class EvidenceCount:
    """There are at least so many evaluations of a kind."""

    evidence: str
    at_least: int
    aliases: tuple[AliasName, ...] = ()

    @property
    def text(self) -> str:
        """The gate in words."""
        return f"{self.evidence} evidence >= {self.at_least}"

    def to_document(self) -> Document:
        """Return the gate as a policy writes it."""
        return {"evidence": self.evidence, "at_least": self.at_least}


@frozen
class CardSections:
    """The model card has these sections, each with some text."""

    sections: tuple[str, ...]
    aliases: tuple[AliasName, ...] = ()

    @property
    def text(self) -> str:
        """The gate in words."""
        return f"card has {', '.join(self.sections)}"

    def to_document(self) -> Document:
        """Return the gate as a policy writes it."""
        return {"card_sections": list(self.sections)}


@frozen
class Formats:
    """Every file's name ends in one of these suffixes (lower case, without the point), or is one of them."""

    formats: tuple[str, ...]
    aliases: tuple[AliasName, ...] = ()

    @property
    def text(self) -> str:
        """The gate in words."""
        return f"only {', '.join(self.formats)} files"

    def to_document(self) -> Document:
        """Return the gate as a policy writes it."""
        return {"formats": list(self.formats)}


@frozen
class PickleScan:
    """No pickle among the files imports anything dangerous; `strict`: nothing but what is known to be harmless."""

    strict: bool = False
    aliases: tuple[AliasName, ...] = ()

    @property
    def text(self) -> str:
        """The gate in words."""
        return "strict pickle scan" if self.strict else "pickle scan"

    def to_document(self) -> Document:
        """Return the gate as a policy writes it."""
        return {"pickle_scan": "strict" if self.strict else True}


@frozen
class UnknownGate:
    """A gate that this program does not understand; it fails. `fault` says why."""

    document: Mapping[str, object]
    fault: str
    aliases: tuple[AliasName, ...] = ()

    @property
    def text(self) -> str:
        """The gate in words."""
        return f"a gate with {', '.join(sorted(self.document)) or 'no fields'}"

    def to_document(self) -> Document:
        """Return the gate as the policy document has it."""
        return dict(self.document)


Gate = MetricThreshold | NoWorse | EvidenceCount | CardSections | Formats | PickleScan | UnknownGate


@frozen
class GateResult:
    """Whether a gate holds. `value` and `limit` are numbers where the gate compares two."""

    gate: str
    passed: bool
    value: float | None
    limit: float | None
    reason: str

    def to_document(self) -> Document:
        """Return the JSON form."""
        return {
            "gate": self.gate,
            "passed": self.passed,
            "value": self.value,
            "limit": self.limit,
            "reason": self.reason,
        }


def gate_document(gate: Gate) -> Document:
    """Return any gate as a policy writes it, with the aliases that it is limited to."""
    document = gate.to_document()
    return document | {"aliases": list(gate.aliases)} if gate.aliases else document


def gate_text(gate: Gate) -> str:
    """Return any gate in words, with the aliases that it is limited to."""
    return f"{gate.text} (before {', '.join(gate.aliases)})" if gate.aliases else gate.text


def selection_of(gate: Gate) -> MetricSelection | None:
    """Return which measurements a gate looks at; None for one that is not about a metric."""
    match gate:
        case MetricThreshold(selection) | NoWorse(selection):
            return selection
        case EvidenceCount() | CardSections() | Formats() | PickleScan() | UnknownGate():
            return None
        case _:
            assert_never(gate)


def applies_to(gate: Gate, alias: AliasName | None) -> bool:
    """Return whether a gate counts before an alias; None asks for every gate."""
    return alias is None or not gate.aliases or alias in gate.aliases


def results_digest(results: Sequence[GateResult]) -> Digest:
    """Return the SHA-256 of the results' canonical JSON, for a statement that cites what was shown."""
    return digest_of(encode({"gates": [result.to_document() for result in results]}))


def number_text(value: float) -> str:
    """Return a number with all its digits, a whole one without a point."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(value)


def slice_text(values: Mapping[str, str]) -> str:
    """Return a slice as `age=18-25, region=eu`, in the order of its attributes."""
    return ", ".join(f"{attribute}={values[attribute]}" for attribute in sorted(values))
