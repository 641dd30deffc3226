"""Judges whether a version passes its gates, by how much, and if not, why. Pure: all that it looks at is the subject.

Where several evaluations measured the same thing (kind, data set and slice), those that the registry recorded last
count; all that were published with the version count as one moment. Their order is the commits', so it needs no clock.
Of all values that a gate matches the worst decides: one that names no data set is about each that was measured.
"""

from __future__ import annotations

from dataclasses import field
from decimal import Context, Decimal
from typing import TYPE_CHECKING, assert_never

from bucketry.frozen import frozen
from bucketry.schema.documents.cards import card_sections, section_name
from bucketry.schema.documents.datasets import Dataset, dataset_of, field_text
from bucketry.schema.documents.gates import (
    LONGEST_REASON_CHARACTERS,
    CardSections,
    EvidenceCount,
    Formats,
    Gate,
    GateResult,
    MetricSelection,
    MetricThreshold,
    NoWorse,
    PickleScan,
    UnknownGate,
    applies_to,
    gate_text,
    number_text,
    slice_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bucketry.schema.documents.evidence import Evidence, Slice
    from bucketry.schema.documents.policy import Policy
    from bucketry.schema.names import AliasName

UNREAD = "not looked at for this list"
"""How the reason begins of a gate that was not checked, because that would read files."""
MOST_NAMED = 3
"""How many slices, files, sections or imports a reason names."""


@frozen
class Evaluations:
    """All evidence about one version: what was published with it, and what was added, in the order of the commits."""

    version: int
    published: tuple[Evidence, ...] = ()
    added: tuple[Evidence, ...] = ()


@frozen
class ScannedFile:
    """One file: the imports that are dangerous, and those that nobody knows to be harmless.

    `fault` says why the file could not be looked at to its end, which counts as unsafe. `holds_code` tells pickles and
    archives, which were scanned, from what is harmless whoever loads it.
    """

    path: str
    dangerous: tuple[str, ...] = ()
    suspicious: tuple[str, ...] = ()
    fault: str = ""
    holds_code: bool = False

    def fault_if(self, *, strict: bool) -> str:
        """Return why the file is unsafe, in words; empty if it is not."""
        if self.dangerous:
            return f"imports {_named(self.dangerous)}"
        if self.fault:
            return self.fault
        return f"imports {_named(self.suspicious)}, not known to be harmless" if strict and self.suspicious else ""


@frozen
class ScanReport:
    """What a scan found in each file. `fault` says why nothing could be scanned at all."""

    files: tuple[ScannedFile, ...] = ()
    fault: str = ""

    @property
    def counts(self) -> str:
        """How many files were scanned, how many are harmless by their content, and how many cannot be scanned."""
        blind = sum(bool(file.fault) for file in self.files)
        scanned = sum(file.holds_code and not file.fault for file in self.files)
        return f"{scanned} scanned, {len(self.files) - scanned - blind} harmless by content, {blind} not scannable"


@frozen
class GateSubject:
    """What gates look at. `paths` are the artifacts'; `card` is the model card's text, or None where there is none.

    `baselines` has the evaluations of what each alias names, None for an alias that names nothing. `scan` is None where
    no gate asks for one. `misnamed` says why a file is not what its name says, for those that are not; None where
    nobody looked.
    """

    evaluations: Evaluations
    paths: tuple[str, ...] = ()
    card: str | None = None
    baselines: Mapping[AliasName, Evaluations | None] = field(default_factory=dict)
    scan: ScanReport | None = None
    misnamed: Mapping[str, str] | None = field(default_factory=dict)


@frozen
class _Verdict:
    passed: bool
    reason: str
    value: float | None = None
    limit: float | None = None


_EXACTLY = Context(prec=700)
"""As many digits as lie between the largest and the smallest number of 64 bits, 309 before the point and 324 behind."""


@frozen
class _Data:
    """The data of an evaluation, and the digest of their bytes where it is known."""

    dataset: Dataset
    digest: str | None

    @property
    def text(self) -> str:
        return " ".join(text for text in (self.dataset.text, self.digest) if text)

    def has(self, selected: Mapping[str, str]) -> bool:
        stated = self.dataset.to_document() | {"digest": self.digest}
        return all(stated.get(name) == text for name, text in selected.items())


@frozen
class _Point:
    """One measured value. `rank` grows with each commit that added evidence; 0 was published with the version."""

    value: float
    direction: str | None
    kind: str
    data: _Data
    slice: Slice
    rank: int

    @property
    def place(self) -> str:
        """Where it was measured, in words."""
        parts = [self.data.text, slice_text(dict(self.slice))]
        return "".join(f" {word} {part}" for word, part in zip(("on", "for"), parts, strict=True) if part)


def judge_gates(policy: Policy, subject: GateSubject, *, alias: AliasName | None = None) -> tuple[GateResult, ...]:
    """Return the result of each gate that counts before an alias (None: of every gate), in the policy's order."""
    results = []
    for gate in policy.gates:
        if applies_to(gate, alias):
            verdict = _verdict(gate, subject)
            text, reason = _shortened(gate_text(gate)), _shortened(verdict.reason)
            results.append(GateResult(text, verdict.passed, verdict.value, verdict.limit, reason))
    return tuple(results)


def lacks_evidence(policy: Policy, evaluations: Evaluations) -> bool:
    """Return whether some gate cannot be judged yet: what it measures was not measured, or not often enough."""
    for gate in policy.gates:
        match gate:
            case MetricThreshold(selection) | NoWorse(selection):
                missing = bool(_fault_in_points([*_iter_points(selection, evaluations)], selection))
            case EvidenceCount(kind, at_least):
                missing = not _judge_count(kind, at_least, evaluations).passed
            case CardSections() | Formats() | PickleScan() | UnknownGate():
                missing = False
            case _:
                assert_never(gate)
        if missing:
            return True
    return False


def is_unread(result: GateResult) -> bool:
    """Return whether a gate fails only because no file was read for it yet."""
    return not result.passed and result.reason.startswith(UNREAD)


def _verdict(gate: Gate, subject: GateSubject) -> _Verdict:  # noqa: PLR0911 - one for each kind of gate
    match gate:
        case MetricThreshold():
            return _judge_threshold(gate, subject.evaluations)
        case NoWorse():
            return _judge_no_worse(gate, subject)
        case EvidenceCount(kind, at_least):
            return _judge_count(kind, at_least, subject.evaluations)
        case CardSections(sections):
            return _judge_card(sections, subject.card)
        case Formats(formats):
            return _judge_formats(formats, subject.paths, subject.misnamed)
        case PickleScan(strict):
            return _judge_scan(subject.scan, strict=strict)
        case UnknownGate(_, fault):
            return _Verdict(passed=False, reason=f"this version of bucketry does not understand it: {fault}")
        case _:
            assert_never(gate)


def _judge_threshold(gate: MetricThreshold, evaluations: Evaluations) -> _Verdict:
    limit = gate.at_least if gate.at_least is not None else gate.at_most
    points = _newest(_iter_points(gate.selection, evaluations))
    fault = _fault_in_points(points, gate.selection)
    if fault:
        return _Verdict(passed=False, reason=fault, limit=limit)
    margins = []  # of each value to each bound: how far inside it is, or, if negative, outside
    for point in points:
        if gate.at_least is not None:
            margins.append((_difference(point.value, gate.at_least), gate.at_least, point))
        if gate.at_most is not None:
            margins.append((_difference(gate.at_most, point.value), gate.at_most, point))
    margin, limit, worst = min(margins, key=lambda judged: (judged[0], judged[2].place, judged[2].value, judged[1]))
    side = "below" if gate.at_least is not None and worst.value < gate.at_least else "above"
    what = _measured(worst, gate.selection)
    if margin < 0:
        return _Verdict(False, f"{what} is {side} {number_text(limit)} by {_distance(margin)}", worst.value, limit)
    return _Verdict(True, what, worst.value, limit)


def _judge_no_worse(gate: NoWorse, subject: GateSubject) -> _Verdict:
    baseline = subject.baselines.get(gate.no_worse_than)
    if baseline is None:
        return _Verdict(passed=True, reason=f"{gate.no_worse_than} is not set yet")
    selection = gate.selection
    ours = _newest(_iter_points(selection, subject.evaluations))
    theirs = _newest(_iter_points(selection, baseline))
    named = f"version {baseline.version} ({gate.no_worse_than})"
    fault = _fault_in_points(ours, selection)
    if not fault and not theirs:
        fault = f"{named} was not measured{_where(selection)}: add evidence to it"
    if fault:
        return _Verdict(passed=False, reason=fault)
    directions = {point.direction for point in (*ours, *theirs)} | {gate.direction}
    directions.discard(None)
    if len(directions) != 1:
        contrary = f"the evidence says both that higher and that lower {selection.metric} is better"
        unknown = (
            f"nothing says whether higher or lower {selection.metric} is better: "
            'add direction = "higher" or "lower" to the gate'
        )
        return _Verdict(passed=False, reason=contrary if directions else unknown)
    common = {point.data for point in ours} & {point.data for point in theirs}
    if not common:
        others = sorted({point.data.text or "data without a name" for point in theirs})
        return _Verdict(passed=False, reason=f"{named} was measured on other data: {_named(others)}")
    comparable = [point for point in theirs if point.data in common]
    return _compare(gate, ours, comparable, named, sign=1 if directions == {"higher"} else -1)


def _compare(gate: NoWorse, ours: Sequence[_Point], theirs: Sequence[_Point], named: str, *, sign: int) -> _Verdict:
    """Compare each value of the baseline with ours at the same place; `sign` is 1 where higher is better, else -1."""
    here = _worst(ours, sign)
    there = _worst(theirs, -sign)
    missing = [point.place for place, point in there.items() if place not in here]
    if missing:
        return _Verdict(passed=False, reason=f"not measured {_named(missing, ' nor ')}, as {named} was")
    judged = []
    for place, their in there.items():
        our = here[place]
        better = _difference(our.value, their.value) if sign > 0 else _difference(their.value, our.value)
        # The margin is how much worse ours could be yet; a negative one says that it is too bad.
        judged.append((_EXACTLY.add(better, Decimal(repr(gate.tolerance))), our, their))
    margin, our, their = min(judged, key=lambda each: (each[0], each[1].place, each[1].value, each[2].value))
    limit = float(_difference(their.value, sign * gate.tolerance))
    what = f"{_measured(our, gate.selection)}, {named} has {number_text(their.value)}"
    if margin < 0:
        return _Verdict(False, f"{what}: worse than allowed by {_distance(margin)}", our.value, limit)
    return _Verdict(True, what, our.value, limit)


def _worst(points: Sequence[_Point], sign: int) -> dict[tuple[_Data, Slice], _Point]:
    """Return one point of each place: the worst for us, where higher is better if `sign` is 1."""
    worst: dict[tuple[_Data, Slice], _Point] = {}
    for point in points:
        known = worst.setdefault((point.data, point.slice), point)
        if sign * point.value < sign * known.value:
            worst[point.data, point.slice] = point
    return worst


def _judge_count(kind: str, at_least: int, evaluations: Evaluations) -> _Verdict:
    count = sum(evidence.kind == kind for evidence in (*evaluations.published, *evaluations.added))
    return _Verdict(count >= at_least, f"{count} of {at_least} {kind} evaluations are there", count, at_least)


def _judge_card(sections: Sequence[str], card: str | None) -> _Verdict:
    if card is None:
        return _Verdict(False, "there is no model card that can be read as text", 0, len(sections))
    found = card_sections(card)
    written = {section_name(section.title) for section in found if section.is_written}
    missing = [section for section in sections if section_name(section) not in written]
    present = len(sections) - len(missing)
    if not missing:
        return _Verdict(True, f"all {present} are there", present, len(sections))
    headed = {section_name(section.title) for section in found}
    faults = [f"{name} is empty" if section_name(name) in headed else f"{name} is missing" for name in missing]
    return _Verdict(False, _named(faults), present, len(sections))


def _judge_formats(formats: Sequence[str], paths: Sequence[str], misnamed: Mapping[str, str] | None) -> _Verdict:
    endings = tuple(f".{suffix}" for suffix in formats)
    others = [
        path
        for path in paths
        if not (name := path.rpartition("/")[2].lower()).endswith(endings) and name not in formats
    ]
    if others:
        return _Verdict(False, f"not allowed: {_named(others)}", len(others), 0)
    if misnamed is None:
        return _Verdict(True, f"all {len(paths)} files are by name; the contents are {UNREAD}", 0, 0)
    faults = [f"{path} {misnamed[path]}" for path in paths if path in misnamed]
    reason = _named(faults, "; ") if faults else f"all {len(paths)} files are"
    return _Verdict(not faults, reason, len(faults), 0)


def _judge_scan(scan: ScanReport | None, *, strict: bool) -> _Verdict:
    if scan is None:
        return _Verdict(passed=False, reason="the files were not scanned")
    if scan.fault:
        return _Verdict(passed=False, reason=scan.fault)
    bad = [(file.path, file.fault_if(strict=strict)) for file in scan.files]
    faults = [f"{path}: {fault}" for path, fault in bad if fault]
    if faults:
        return _Verdict(False, f"{_named(faults, '; ')} ({scan.counts})", len(faults), 0)
    doubtful = sum(bool(file.suspicious) for file in scan.files)
    return _Verdict(True, f"{scan.counts}{f'; {doubtful} import unknown names' if doubtful else ''}", 0, 0)


def _iter_points(selection: MetricSelection, evaluations: Evaluations) -> Iterator[_Point]:
    ranked = [(0, evidence) for evidence in evaluations.published]
    ranked += list(enumerate(evaluations.added, start=1))
    for rank, evidence in ranked:
        data = _Data(dataset_of(evidence.dataset), field_text(evidence.dataset.get("digest")))
        if selection.evidence not in {None, evidence.kind} or not data.has(selection.dataset):
            continue
        for metric in evidence.metrics:
            of_slice = selection.every_slice or dict(metric.slice) == dict(selection.slice)
            if metric.name == selection.metric and of_slice:
                yield _Point(metric.value, metric.direction, evidence.kind, data, metric.slice_key, rank)


def _newest(points: Iterator[_Point]) -> list[_Point]:
    """Return of each thing that was measured the points that were recorded last, all of them where several were."""
    groups: dict[tuple[str, _Data, Slice], list[_Point]] = {}
    for point in points:
        groups.setdefault((point.kind, point.data, point.slice), []).append(point)
    newest = {name: max(point.rank for point in members) for name, members in groups.items()}
    return [point for name, members in groups.items() for point in members if point.rank == newest[name]]


def _fault_in_points(points: Sequence[_Point], selection: MetricSelection) -> str:
    if not points:
        return f"{selection.metric} was not measured{_where(selection)}"
    if selection.every_slice and not any(point.slice for point in points):
        return f"no slice of {selection.metric} was measured"
    return ""


def _where(selection: MetricSelection) -> str:
    return selection.text.replace(" in every slice", "")


def _measured(point: _Point, selection: MetricSelection) -> str:
    worst = "the worst, " if selection.every_slice else ""
    return f"{worst}{number_text(point.value)}{point.place}"


def _named(texts: Sequence[str], separator: str = ", ") -> str:
    more = f" and {len(texts) - MOST_NAMED:,} more" if len(texts) > MOST_NAMED else ""
    return separator.join(text.strip() for text in texts[:MOST_NAMED]) + more


def _distance(margin: Decimal) -> str:
    return number_text(abs(float(margin)))


def _difference(one: float, other: float) -> Decimal:
    """Return the difference of the numbers that are written, so that 0.9 - 0.005 is 0.895 and nothing else."""
    return _EXACTLY.subtract(Decimal(repr(one)), Decimal(repr(other)))


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_REASON_CHARACTERS else text[: LONGEST_REASON_CHARACTERS - 1] + "…"
