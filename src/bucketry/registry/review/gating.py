"""The gates that hold for a version, by the head and the row that a commit is about to replace.

Everything but the alias that a gate compares with is immutable and named by its digest, so that a check costs little
when an edit runs again. Files are looked into once for each manifest in a session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, assert_never

from bucketry.errors import CorruptError
from bucketry.registry.core.history import iter_records_back
from bucketry.registry.core.registers import alias_register, load_alias, load_existing_head
from bucketry.registry.core.resolve import resolved_row
from bucketry.registry.core.rows import find_row, load_added_evidence, load_dossier
from bucketry.registry.reading.cards import find_card
from bucketry.registry.review.policies import load_policy
from bucketry.schema.documents.alias import MOVES
from bucketry.schema.documents.audit import target_version
from bucketry.schema.documents.gates import (
    CardSections,
    EvidenceCount,
    Formats,
    MetricThreshold,
    NoWorse,
    PickleScan,
    UnknownGate,
    applies_to,
)
from bucketry.schema.documents.states import State
from bucketry.schema.judging.gate_checks import (
    UNREAD,
    Evaluations,
    GateSubject,
    ScanReport,
    is_unread,
    judge_gates,
    lacks_evidence,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.gates import Gate, GateResult
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.policy import Policy
    from bucketry.schema.names import AliasName


def check_version_gates(
    session: Session,
    head: Head,
    row: Row,
    *,
    alias: AliasName | None,
    scan: bool = True,
    contents: bool = False,
    policy: Policy | None = None,
    register: AliasRegister | None = None,
) -> tuple[GateResult, ...]:
    """Return each gate's result for a row of this head, under the policy that the head names, or under another.

    `alias` leaves out the gates that count before other aliases only; None asks for all. Without `scan` a pickle scan
    that this session has not done yet counts as failed, and formats are judged by the files' names: for lists, which
    must not read files. With `scan` False and `contents` True formats are looked at: a few bytes of each file.
    `register` is that of an alias which was just read: a gate that compares with it does not read it again.
    """
    policy = policy or load_policy(session, head)
    gates = [gate for gate in policy.gates if applies_to(gate, alias)]
    if not gates:
        return ()
    subject = load_gate_subject(
        session, head, row, policy, alias=alias, scan=scan, contents=contents or scan, register=register
    )
    return judge_gates(policy, subject, alias=alias)


def known_gates(session: Session, head: Head, row: Row, *, alias: AliasName | None = None) -> tuple[GateResult, ...]:
    """Return the gates' results without those that wait for a scan of files, which nobody made in this session yet."""
    results = check_version_gates(session, head, row, alias=alias, scan=False, contents=True)
    return tuple(result for result in results if not is_unread(result))


def load_gate_subject(
    session: Session,
    head: Head,
    row: Row,
    policy: Policy,
    *,
    alias: AliasName | None = None,
    scan: bool = True,
    contents: bool = True,
    register: AliasRegister | None = None,
) -> GateSubject:
    """Return what the policy's gates look at, and no more: what no gate asks for is not read."""
    gates = [gate for gate in policy.gates if applies_to(gate, alias)]
    resolved = resolved_row(session, head, row)
    asked = {input_of(gate) for gate in gates}
    card = find_card(session, resolved) if "card" in asked else None
    return GateSubject(
        evaluations=_load_evaluations(session, head, resolved, row) if "evidence" in asked else Evaluations(0),
        paths=tuple(artifact.path for artifact in resolved.manifest.artifacts),
        card=card.whole_text if card else None,
        baselines={
            name: _load_baseline(session, head, name, register)
            for name in dict.fromkeys(gate.no_worse_than for gate in gates if isinstance(gate, NoWorse))
        },
        scan=_scan(session, resolved, scan=scan) if "pickles" in asked else None,
        misnamed=_find_misnamed(session, resolved, look=contents) if "formats" in asked else None,
    )


def waits_for_evidence(session: Session, head: Head, row: Row, policy: Policy) -> bool:
    """Return whether a gate of the policy cannot be judged yet, because its evidence has not arrived."""
    if all(input_of(gate) != "evidence" for gate in policy.gates):
        return False
    return lacks_evidence(policy, _load_evaluations(session, head, resolved_row(session, head, row), row))


def input_of(gate: Gate) -> Literal["evidence", "card", "formats", "pickles", "nothing"]:
    """Return what must be read for a gate."""
    match gate:
        case MetricThreshold() | NoWorse() | EvidenceCount():
            return "evidence"
        case CardSections():
            return "card"
        case Formats():
            return "formats"
        case PickleScan():
            return "pickles"
        case UnknownGate():
            return "nothing"
        case _:
            assert_never(gate)


def _load_baseline(session: Session, head: Head, alias: AliasName, known: AliasRegister | None) -> Evaluations | None:
    """Return the evaluations of what an alias names now, or None if it names nothing.

    Where it was unset, what it named last is the baseline, unless that was deleted since: nobody gets around a gate by
    unsetting the alias first.
    """
    register = known if known is not None and known.alias == alias else load_alias(session, head.model, alias).state
    if register is None:
        return None
    if register.target is None:
        for record in iter_records_back(session, alias_register(session, head.model, alias), register.trail):
            if record.action in MOVES and record.target:
                last = target_version(record, what=f"the history of {head.model}@{alias}")
                row = find_row(session, head, last) if last is not None else None
                if row is None or row.state is State.DELETED:
                    return None
                return _load_evaluations(session, head, resolved_row(session, head, row), row)
        return None
    version = register.target.version
    row = find_row(session, head, version)
    if row is None:  # published and promoted since the head was read
        head = load_existing_head(session, head.model)
        row = find_row(session, head, version)
    if row is None or row.manifest != register.target.manifest:
        raise CorruptError(
            f"{head.model}@{alias} names version {version}, which the head does not have so",
            advice="run `bucketry fsck`",
        )
    return _load_evaluations(session, head, resolved_row(session, head, row), row)


def _load_evaluations(session: Session, head: Head, resolved: ResolvedVersion, row: Row) -> Evaluations:
    added = load_added_evidence(session, load_dossier(session, head, row))
    return Evaluations(row.version, resolved.manifest.evidence_at_publish, added)


def _scan(session: Session, resolved: ResolvedVersion, *, scan: bool) -> ScanReport:
    known = session.scans.get(resolved.digest)
    if known is not None:
        return known
    if not scan:
        name = f"{resolved.model}:{resolved.version}"
        return ScanReport(fault=f"{UNREAD}: run `bucketry gates {name}`")
    from bucketry.registry.scanning.pickle_scan import scan_pickles  # noqa: PLC0415 - few policies ask for it

    report = scan_pickles(session, resolved)
    if not report.fault:
        session.scans[resolved.digest] = report
    return report


def _find_misnamed(session: Session, resolved: ResolvedVersion, *, look: bool) -> Mapping[str, str] | None:
    known = session.misnamed.get(resolved.digest)
    if known is not None or not look:
        return known
    from bucketry.registry.scanning.file_formats import faults_in_formats  # noqa: PLC0415 - few policies ask for it

    return session.misnamed.setdefault(resolved.digest, faults_in_formats(session, resolved))
