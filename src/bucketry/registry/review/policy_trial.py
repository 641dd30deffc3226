"""What a policy would change before it is set, and which versions would not meet it.

Nothing is written. Files are not scanned for pickles, which would read whole ones: that gate is left out, and said.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import iter_rows, load_dossier
from bucketry.registry.review.gating import check_version_gates, input_of
from bucketry.registry.review.policies import (
    find_policy_changes,
    find_removed_protection,
    load_policy_in_force,
    policy_set_at,
)
from bucketry.registry.review.standings import load_standing
from bucketry.registry.serving.known_aliases import load_aliases
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.policy import check_policy, encode_policy
from bucketry.schema.documents.states import SERVABLE
from bucketry.schema.judging.decisions import count_approvals

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.gates import GateResult
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.policy import Policy
    from bucketry.schema.judging.policy_changes import PolicyChange
    from bucketry.schema.names import AliasName, Digest, ModelName


@frozen
class PolicyPlan:
    """What setting a policy would change, and which protection it would take away."""

    policy: Digest
    changed: bool
    changes: tuple[PolicyChange, ...]
    removed: tuple[str, ...]


@frozen
class TriedVersion:
    """A version that would not meet a policy: the gates that fail, and what else does, in words."""

    version: int
    aliases: tuple[AliasName, ...]
    failed: tuple[GateResult, ...]
    reasons: tuple[str, ...]


@frozen
class PolicyTrial:
    """Which of the newest versions, and of those that an alias names, would not meet a policy."""

    versions: int
    failing: tuple[TriedVersion, ...]
    scans_left_out: bool
    more: bool


def plan_policy(session: Session, model: ModelName | None, policy: Policy) -> PolicyPlan:
    """Return what setting a policy for a model, or as the default (None), would change."""
    own, default = policy_set_at(session, model)
    before, digest = own if model else default, digest_of(encode_policy(check_policy(policy)))
    return PolicyPlan(
        policy=digest,
        changed=before != digest,
        changes=find_policy_changes(session, before, policy),
        removed=find_removed_protection(session, own, default, policy, of_default=model is None),
    )


def try_policy(session: Session, model: ModelName, policy: Policy, *, newest: int) -> PolicyTrial:
    """Return which versions would not meet a policy that is not set yet."""
    head = load_existing_head(session, model)
    whole = policy.over(load_policy_in_force(session, model).default)  # what the file leaves out
    gates = tuple(gate for gate in whole.gates if input_of(gate) != "pickles")
    tried = replace(whole, gates=gates)
    named: dict[int, list[AliasName]] = {}
    for register in load_aliases(session, head):
        if register.target is not None:
            named.setdefault(register.target.version, []).append(register.alias)
    rows: list[Row] = []
    more = False
    for row in iter_rows(session, head):  # bounded by the rows
        if row.state not in SERVABLE:
            continue
        if len(rows) < newest or row.version in named:
            rows.append(row)
        else:
            more = True
        if more and named.keys() <= {known.version for known in rows}:
            break
    found = session.map_in_parallel(
        lambda row: _tried(session, head, row, tried, tuple(named.get(row.version, ()))), rows
    )
    failing = tuple(each for each in found if each.failed or each.reasons)
    return PolicyTrial(len(rows), failing, scans_left_out=len(gates) < len(whole.gates), more=more)


def _tried(session: Session, head: Head, row: Row, policy: Policy, aliases: tuple[AliasName, ...]) -> TriedVersion:
    failed = tuple(
        result
        for result in check_version_gates(session, head, row, alias=None, scan=False, policy=policy)
        if not result.passed
    )
    reasons = []
    protected = [alias for alias in aliases if policy.protects(alias)]
    if protected and policy.approvals_required:
        standing = load_standing(session, head, row)
        cited = {known.sha256 for known in load_dossier(session, head, row).evidence}
        now = session.clock.timestamp()
        authorship = standing.authorship
        for alias in protected:
            approvals = count_approvals(
                standing.decisions, policy, authorship=authorship, cited=cited, now=now, alias=alias
            )
            if not approvals.are_enough:
                count = f"{len(approvals.principals)} of {policy.approvals_required} approvals"
                reasons.append(f"{alias} is protected and names it: {count}")
    return TriedVersion(row.version, aliases, failed, tuple(reasons))
