"""How a version stands: what has been decided about it, and whether that is enough to serve it.

Read and judged under the policy that holds now; deciding is `reviewing.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, RejectedError
from bucketry.frozen import frozen
from bucketry.registry.core.rows import load_dossier
from bucketry.registry.review.policies import load_policy
from bucketry.schema.documents.reviews import Action, Decision, decode_review
from bucketry.schema.judging.decisions import Approvals, Authorship, count_approvals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.dossier import Dossier
    from bucketry.schema.documents.gates import GateResult
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.policy import Policy
    from bucketry.schema.names import AliasName


@frozen
class Standing:
    """What has been decided about a version, and what follows from it under the policy that holds now."""

    row: Row
    policy: Policy
    decisions: tuple[Decision, ...]
    authorship: Authorship
    approvals: Approvals


def load_standing(
    session: Session, head: Head, row: Row, *, alias: AliasName | None = None, policy: Policy | None = None
) -> Standing:
    """Return what has been decided about a row of this head, and whether that is enough, for an alias or for any.

    Under `policy`, where one is given, in place of the one that the head names.
    """
    policy = policy or load_policy(session, head)
    dossier = load_dossier(session, head, row)
    decisions = load_decisions(session, dossier)
    authorship = authorship_of(row, decisions)
    approvals = count_approvals(
        decisions,
        policy,
        authorship=authorship,
        cited={cited.sha256 for cited in dossier.evidence},
        now=session.clock.timestamp(),
        alias=alias,
    )
    return Standing(row, policy, decisions, authorship, approvals)


def load_decisions(session: Session, dossier: Dossier) -> tuple[Decision, ...]:
    """Return every decision that a dossier cites, publish signatures included, in the order in which they came.

    Raises `CorruptError` for one that is missing, or about another manifest, model or registry.
    """
    decisions = session.map_in_parallel(
        lambda cited: decode_review(session.load_cited(cited), what=cited.key), dossier.reviews
    )
    for cited, decision in zip(dossier.reviews, decisions, strict=True):
        if decision.statement.manifest != dossier.manifest:
            raise CorruptError(f"{cited.key} is about another version", advice="run `bucketry fsck`")
        if session.strict is None:  # a judge says which decisions do not count, and why
            session.check_registry(decision.statement.registry, key=cited.key)
    return tuple(decisions)


def authorship_of(row: Row, decisions: Sequence[Decision]) -> Authorship:
    """Return who published the row's version."""
    signed = [d for d in decisions if d.statement.action is Action.PUBLISH and d.is_signed]
    return Authorship(row.created_by, signed[0].statement.principal if signed else None)


def check_approved(head: Head, standing: Standing, alias: AliasName) -> None:
    """Raise `RejectedError` unless a version has the approvals that a protected alias needs."""
    approvals, row = standing.approvals, standing.row
    if standing.policy.approvals_required == 0 and not approvals.refusals:
        return
    if approvals.are_enough:
        return
    have, need = len(approvals.principals), standing.policy.approvals_required
    dropped = "".join(f"; {principal} does not count: {reason}" for principal, reason in approvals.dropped)
    raise RejectedError(
        f"{head.model}@{alias} is protected and version {row.version} has {have} of {need} approvals{dropped}",
        advice=f"ask for a review with `bucketry review request {head.model}:{row.version}`",
    )


def refuse_failed_gates(row: Row, gates: Sequence[GateResult], verb: str) -> None:
    """Raise `RejectedError` naming every gate that failed, and by how much."""
    failed = [gate for gate in gates if not gate.passed]
    if failed:
        reasons = "; ".join(f"{gate.gate}: {gate.reason}" for gate in failed)
        raise RejectedError(
            f"version {row.version} cannot be {verb}, {len(failed)} of {len(gates)} gates failed: {reasons}",
            advice="see `bucketry gates`; add evidence with `bucketry evaluate`, or publish a better version",
        )
