"""Derives from all decisions about a version whether it is approved, by whom, and until when.

A refusal (reject or revoke) wins whoever approved before or after it. Who signed what is not asked here: whoever
must not believe the bucket asks `trust`.
"""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from bucketry.errors import RejectedError
from bucketry.frozen import frozen
from bucketry.schema.documents.reviews import REFUSALS, Action, Decision
from bucketry.schema.documents.states import State

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bucketry.schema.documents.policy import Policy
    from bucketry.schema.names import AliasName, Digest

_LIVE = (State.REGISTERED, State.IN_REVIEW, State.APPROVED)

ALLOWED_FROM: Mapping[Action, frozenset[State]] = {
    Action.REQUEST: frozenset({State.REGISTERED, State.IN_REVIEW}),
    Action.COMMENT: frozenset({*_LIVE, State.REJECTED, State.RETIRED}),
    Action.APPROVE: frozenset(_LIVE),  # of an approved version: another approver, or a renewal
    # Of a rejected version: so that a walk that was interrupted is finished. Retired versions may still be served.
    Action.REJECT: frozenset({State.REGISTERED, State.IN_REVIEW, State.REJECTED, State.RETIRED}),
    Action.REVOKE: frozenset({State.APPROVED, State.REJECTED, State.RETIRED}),
}
"""From which states each decision may be made."""


@frozen
class Authorship:
    """Who published a version: by the row's claim, and by a signed publish statement, if there is one."""

    claimed: str
    signed: str | None = None

    def includes(self, principal: str) -> bool:
        """Return whether the principal is the version's publisher, by claim or by signature."""
        return principal in {self.claimed, self.signed}


@frozen
class Approvals:
    """How far a version is from being approved.

    `principals` are those who count, in the order of their decisions; `dropped` are those who do not, each with the
    reason. `refusals` are who rejected or revoked. `expires` is when the first of the counted ones ends, if any does.
    """

    required: int
    principals: tuple[str, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    refusals: tuple[str, ...] = ()
    expires: str | None = None

    @property
    def are_enough(self) -> bool:
        """Whether the version counts as approved."""
        return not self.refusals and len(self.principals) >= max(1, self.required)


def count_approvals(
    decisions: Sequence[Decision],
    policy: Policy,
    *,
    authorship: Authorship,
    cited: Collection[Digest],
    now: str,
    alias: AliasName | None = None,
) -> Approvals:
    """Return who approved and counts, under a policy, at a moment (RFC 3339), for an alias or for any.

    `cited` is the SHA-256 of each evaluation that was added to the version: an approval that was given on sight of one
    that is gone does not count. Of each principal the newest approval that counts is taken, so that one can be renewed,
    and that nobody takes one away by another under the same name.
    """
    counting: dict[str, Decision] = {}
    reasons: dict[str, str] = {}
    for decision in newest_first(decisions):
        principal = decision.statement.principal
        reason = _why_not(decision, policy, authorship, cited, now, alias)
        if reason:
            reasons.setdefault(principal, reason)
        else:
            counting.setdefault(principal, decision)
    counted = sorted(counting.values(), key=_when)
    dropped = [(principal, reason) for principal, reason in reversed(reasons.items()) if principal not in counting]
    ends = [decision.statement.expires for decision in counted if decision.statement.expires]
    return Approvals(
        required=policy.approvals_required,
        principals=tuple(decision.statement.principal for decision in counted),
        dropped=tuple(dropped),
        refusals=tuple(d.statement.principal for d in decisions if d.statement.action in REFUSALS),
        expires=min(ends, key=moment) if ends else None,
    )


def newest_first(decisions: Sequence[Decision]) -> list[Decision]:
    """Return the approvals, newest first, whether they count or not."""
    approvals = (decision for decision in decisions if decision.statement.action is Action.APPROVE)
    return sorted(approvals, key=_when, reverse=True)


def newest_approvals(decisions: Sequence[Decision]) -> dict[str, Decision]:
    """Return the newest approval of each principal, whether it counts or not, in the order in which they were made."""
    approvals = (decision for decision in decisions if decision.statement.action is Action.APPROVE)
    return {decision.statement.principal: decision for decision in sorted(approvals, key=_when)}


def derive_state(decisions: Sequence[Decision], approvals: Approvals) -> State:
    """Return the state that the decisions give a version which is neither retired nor being deleted."""
    if approvals.refusals:
        return State.REJECTED
    if approvals.are_enough:
        return State.APPROVED
    asked = any(decision.statement.action in {Action.REQUEST, Action.APPROVE} for decision in decisions)
    return State.IN_REVIEW if asked else State.REGISTERED


def check_decision(
    decision: Decision,
    policy: Policy,
    *,
    version: int,
    state: State,
    authorship: Authorship,
    need_signature: bool = True,
) -> None:
    """Raise `RejectedError` for a decision that may not be made about a version in this state, or not by this person.

    Gates are not asked here. A refusal needs a reason, and no signature: it must never be hard to stop something.
    Without `need_signature` the decision's own may be missing, because it is yet to be made.
    """
    statement = decision.statement
    action, principal = statement.action, statement.principal
    check_decidable(action, version, state)
    if action in REFUSALS and not statement.comment.strip():
        raise RejectedError(f"to {action} needs a reason", advice="say why with --comment")
    if action in {Action.APPROVE, *REFUSALS} and not is_reviewer(policy, principal):
        raise RejectedError(
            f"{principal} is not among the policy's reviewers",
            advice="ask one of them, or change the policy (`bucketry policy show`)",
        )
    if action is not Action.APPROVE:
        return
    if policy.separate_duties and authorship.includes(principal):
        raise RejectedError(
            f"{principal} published version {version} and cannot approve it (separate_duties)",
            advice="ask another reviewer",
        )
    if policy.signatures == "required":
        if need_signature and not decision.is_signed:
            raise RejectedError(
                "the policy asks for signed approvals", advice="approve with --sign, or with --detached elsewhere"
            )
        if policy.separate_duties and authorship.signed is None:
            raise RejectedError(
                f"nobody signed the publish of version {version}, so nobody knows that its author is another person",
                advice="publish it again with --sign",
            )


def action_on(wanted: Action, state: State) -> Action:
    """Return what an action is on a version in this state: to reject what is approved is to revoke the approval."""
    if wanted not in REFUSALS:
        return wanted
    return Action.REVOKE if state is State.APPROVED else Action.REJECT


def check_decidable(action: Action, version: int, state: State) -> None:
    """Raise `RejectedError` for an action that nobody may take on a version in this state."""
    if state in ALLOWED_FROM.get(action, frozenset()):
        return
    instead = f"it is not possible to {action}"
    if action is Action.REJECT and state is State.APPROVED:
        instead = "revoke the approval instead"
    elif action is Action.REVOKE and state in {State.REGISTERED, State.IN_REVIEW}:
        instead = "reject it instead"
    elif action is Action.APPROVE and state is State.REJECTED:
        instead = "a refusal stands for ever; publish a new version"
    elif state is State.RETIRED:
        instead = "take it out of retirement first (`bucketry unretire`)"
    raise RejectedError(f"version {version} is {state}: {instead}")


def is_reviewer(policy: Policy, principal: str) -> bool:
    """Return whether the policy lets this principal decide: everybody, where it names nobody."""
    return not policy.reviewers or any(fnmatchcase(principal, pattern) for pattern in policy.reviewers)


def moment(text: str) -> datetime:
    """Return the moment of an RFC 3339 time that was parsed before."""
    return datetime.fromisoformat(text)


def _why_not(
    decision: Decision,
    policy: Policy,
    authorship: Authorship,
    cited: Collection[Digest],
    now: str,
    alias: AliasName | None,
) -> str:
    """Return why an approval does not count, in words; empty if it does."""
    statement = decision.statement
    ended = statement.expires is not None and moment(statement.expires) <= moment(now)
    objections = (
        (ended, f"expired at {statement.expires}"),
        (policy.separate_duties and authorship.includes(statement.principal), "published the version"),
        (policy.signatures == "required" and not decision.is_signed, "not signed"),
        (not is_reviewer(policy, statement.principal), "not among the policy's reviewers"),
        (not set(statement.evidence) <= set(cited), "given on evidence that is no longer there"),
        (alias is not None and statement.alias not in {None, alias}, f"given for {statement.alias} only"),
    )
    return next((reason for holds, reason in objections if holds), "")


def _when(decision: Decision) -> tuple[int, datetime]:
    return decision.statement.sequence, moment(decision.statement.created)
