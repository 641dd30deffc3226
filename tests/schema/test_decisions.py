from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from bucketry.errors import RejectedError
from bucketry.schema.documents.policy import Policy
from bucketry.schema.documents.reviews import Action, Decision, Review, Statement, decision_of, encode_statement
from bucketry.schema.documents.states import State
from bucketry.schema.judging.decisions import (
    ALLOWED_FROM,
    Approvals,
    Authorship,
    check_decision,
    count_approvals,
    derive_state,
    is_reviewer,
    newest_approvals,
)
from bucketry.schema.names import AliasName, Digest, ModelName

AUTHOR, ANNA, BERT, CLEO = "author@example.org", "anna@example.org", "bert@example.org", "cleo@example.org"
PUBLISHED = Authorship(AUTHOR)
NOW = "2026-03-10T12:00:00.000Z"
SHOWN = Digest("01" * 32)
PRODUCTION, STAGING = AliasName("production"), AliasName("staging")
TWO = Policy(approvals_required=2)

PERMITTED = {
    State.REGISTERED: {Action.REQUEST, Action.COMMENT, Action.APPROVE, Action.REJECT},
    State.IN_REVIEW: {Action.REQUEST, Action.COMMENT, Action.APPROVE, Action.REJECT},
    State.APPROVED: {Action.COMMENT, Action.APPROVE, Action.REVOKE},
    State.REJECTED: {Action.COMMENT, Action.REJECT, Action.REVOKE},
    State.RETIRED: {Action.COMMENT, Action.REJECT, Action.REVOKE},
    State.DELETING: set[Action](),
    State.DELETED: set[Action](),
}
"""The table of the format, state by state."""


def says(action: Action, principal: str, *, sequence: int = 1, signed: bool = False, **changes: object) -> Decision:
    statement = Statement(
        registry="r",
        model=ModelName("acme", "chat"),
        manifest=Digest("ab" * 32),
        action=action,
        principal=principal,
        sequence=sequence,
        created="2026-03-03T12:00:00.000Z",
        version=1,
        comment="because",
    )
    statement = replace(statement, **changes)  # type: ignore[arg-type]
    return decision_of(Review(encode_statement(statement), "a signature" if signed else None), what="a review")


def approves(principal: str, **changes: object) -> Decision:
    return says(Action.APPROVE, principal, **changes)  # type: ignore[arg-type]


def counted(
    *decisions: Decision, policy: Policy = TWO, authorship: Authorship = PUBLISHED, alias: AliasName | None = None
) -> Approvals:
    return count_approvals(decisions, policy, authorship=authorship, cited={SHOWN}, now=NOW, alias=alias)


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("action", list(Action))
def test_each_action_is_possible_from_exactly_these_states(state: State, action: Action) -> None:
    decision = says(action, ANNA)
    if action in PERMITTED[state]:
        check_decision(decision, TWO, version=1, state=state, authorship=PUBLISHED)
        return
    with pytest.raises(RejectedError, match=f"version 1 is {state}"):
        check_decision(decision, TWO, version=1, state=state, authorship=PUBLISHED)


def test_nobody_signs_a_publish_after_the_fact() -> None:
    assert Action.PUBLISH not in ALLOWED_FROM


@pytest.mark.parametrize(
    ("action", "state", "instead"),
    [
        (Action.REJECT, State.APPROVED, "revoke the approval instead"),
        (Action.REVOKE, State.IN_REVIEW, "reject it instead"),
        (Action.APPROVE, State.REJECTED, "publish a new version"),
        (Action.APPROVE, State.RETIRED, "unretire"),
    ],
)
def test_an_impossible_decision_says_what_is_possible(action: Action, state: State, instead: str) -> None:
    with pytest.raises(RejectedError, match=instead):
        check_decision(says(action, ANNA), TWO, version=1, state=state, authorship=PUBLISHED)


@pytest.mark.parametrize(("action", "state"), [(Action.REJECT, State.IN_REVIEW), (Action.REVOKE, State.APPROVED)])
@pytest.mark.parametrize("comment", ["", " \n\t"])
def test_a_refusal_needs_a_reason(action: Action, state: State, comment: str) -> None:
    with pytest.raises(RejectedError, match="needs a reason"):
        check_decision(says(action, ANNA, comment=comment), TWO, version=1, state=state, authorship=PUBLISHED)


def test_a_refusal_needs_no_signature_and_may_come_from_the_author() -> None:
    strict = Policy(approvals_required=1, signatures="required", separate_duties=True)
    check_decision(says(Action.REJECT, AUTHOR), strict, version=1, state=State.IN_REVIEW, authorship=PUBLISHED)


@pytest.mark.parametrize("action", [Action.APPROVE, Action.REJECT])
def test_only_the_policys_reviewers_decide(action: Action) -> None:
    policy = Policy(reviewers=("*@reviewers.example.org", BERT))
    with pytest.raises(RejectedError, match="not among the policy's reviewers"):
        check_decision(says(action, ANNA), policy, version=1, state=State.IN_REVIEW, authorship=PUBLISHED)
    for principal in ("anna@reviewers.example.org", BERT):
        check_decision(says(action, principal), policy, version=1, state=State.IN_REVIEW, authorship=PUBLISHED)
    assert is_reviewer(Policy(), "anybody@example.org")


@pytest.mark.parametrize("action", [Action.REQUEST, Action.COMMENT])
def test_anybody_asks_and_comments(action: Action) -> None:
    policy = Policy(reviewers=(BERT,), signatures="required", separate_duties=True)
    check_decision(says(action, AUTHOR), policy, version=1, state=State.IN_REVIEW, authorship=PUBLISHED)


@pytest.mark.parametrize("authorship", [Authorship(ANNA), Authorship(AUTHOR, ANNA)], ids=["claimed", "signed"])
def test_separate_duties_bar_the_publisher_by_claim_and_by_signature(authorship: Authorship) -> None:
    policy = Policy(approvals_required=1, separate_duties=True)
    with pytest.raises(RejectedError, match="published version 1 and cannot approve it"):
        check_decision(approves(ANNA), policy, version=1, state=State.IN_REVIEW, authorship=authorship)
    assert counted(approves(ANNA), policy=policy, authorship=authorship).dropped == ((ANNA, "published the version"),)


def test_without_separate_duties_the_author_may_approve() -> None:
    policy = Policy(approvals_required=1)
    check_decision(approves(AUTHOR), policy, version=1, state=State.IN_REVIEW, authorship=PUBLISHED)
    assert counted(approves(AUTHOR), policy=policy).are_enough


def test_required_signatures_are_asked_of_approvals() -> None:
    policy = Policy(approvals_required=1, signatures="required")
    with pytest.raises(RejectedError, match="asks for signed approvals"):
        check_decision(approves(ANNA), policy, version=1, state=State.IN_REVIEW, authorship=PUBLISHED)
    check_decision(approves(ANNA, signed=True), policy, version=1, state=State.IN_REVIEW, authorship=PUBLISHED)
    approvals = counted(approves(ANNA), approves(BERT, signed=True), policy=policy)
    assert (approvals.principals, approvals.dropped) == ((BERT,), ((ANNA, "not signed"),))


def test_required_signatures_and_separate_duties_ask_for_a_signed_publish() -> None:
    policy = Policy(approvals_required=1, signatures="required", separate_duties=True)
    with pytest.raises(RejectedError, match="nobody signed the publish of version 1"):
        check_decision(approves(ANNA, signed=True), policy, version=1, state=State.IN_REVIEW, authorship=PUBLISHED)
    signed = Authorship(AUTHOR, AUTHOR)
    check_decision(approves(ANNA, signed=True), policy, version=1, state=State.IN_REVIEW, authorship=signed)


def test_distinct_principals_are_counted() -> None:
    once = counted(approves(ANNA), approves(ANNA, sequence=2))
    assert (once.principals, once.are_enough) == ((ANNA,), False)
    assert counted(approves(ANNA), approves(BERT, sequence=2)).are_enough


@pytest.mark.parametrize("required", [0, 1])
def test_at_least_one_approval_makes_a_version_approved(required: int) -> None:
    policy = Policy(approvals_required=required)
    assert not counted(policy=policy).are_enough
    assert counted(approves(ANNA), policy=policy).are_enough


def test_an_approval_ends_at_its_last_moment() -> None:
    for expires, counts in ((NOW, False), ("2026-03-10T12:00:00.001Z", True)):
        approvals = counted(approves(ANNA, expires=expires), policy=Policy(approvals_required=1))
        assert approvals.are_enough is counts
    assert counted(approves(ANNA, expires=NOW)).dropped == ((ANNA, f"expired at {NOW}"),)


def test_the_first_end_among_the_counted_approvals_is_theirs() -> None:
    first, second = "2026-04-01T00:00:00.000Z", "2026-05-01T00:00:00.000Z"
    both = counted(approves(ANNA, expires=second), approves(BERT, sequence=2, expires=first))
    assert both.expires == first
    assert counted(approves(ANNA, expires=second), approves(BERT, sequence=2)).expires == second
    assert counted(approves(ANNA), approves(BERT, sequence=2)).expires is None


def test_the_newest_approval_of_a_principal_counts_in_whichever_order_they_came() -> None:
    old = approves(ANNA, sequence=1, expires="2026-03-09T00:00:00.000Z")
    new = approves(ANNA, sequence=2, expires="2026-06-01T00:00:00.000Z")
    later = approves(ANNA, sequence=2, created="2026-03-04T12:00:00.000Z", expires="2026-07-01T00:00:00.000Z")
    for order in permutations((old, new, later)):
        assert counted(*order, policy=Policy(approvals_required=1)).expires == "2026-07-01T00:00:00.000Z"
        assert newest_approvals(order) == {ANNA: later}


def test_an_approval_on_evidence_that_is_gone_does_not_count() -> None:
    assert counted(approves(ANNA, evidence=(SHOWN,))).principals == (ANNA,)
    gone = counted(approves(ANNA, evidence=(SHOWN, Digest("02" * 32))))
    assert gone.dropped == ((ANNA, "given on evidence that is no longer there"),)


def test_an_approval_for_one_alias_counts_there_only() -> None:
    decision = approves(ANNA, alias=PRODUCTION)
    assert counted(decision, alias=PRODUCTION).principals == (ANNA,)
    assert counted(decision, alias=STAGING).dropped == ((ANNA, "given for production only"),)
    assert counted(approves(ANNA), alias=STAGING).principals == (ANNA,)


def test_somebody_who_is_no_reviewer_any_more_does_not_count() -> None:
    approvals = counted(approves(ANNA), policy=Policy(approvals_required=1, reviewers=(BERT,)))
    assert approvals.dropped == ((ANNA, "not among the policy's reviewers"),)


@pytest.mark.parametrize("refusal", [Action.REJECT, Action.REVOKE])
def test_a_refusal_wins_whoever_approved_before_or_after(refusal: Action) -> None:
    decisions = [approves(ANNA), approves(BERT, sequence=2), says(refusal, CLEO, sequence=3)]
    for order in permutations(decisions):
        approvals = counted(*order)
        assert approvals.refusals == (CLEO,)
        assert not approvals.are_enough
        assert derive_state(order, approvals) is State.REJECTED


def test_a_state_follows_from_the_decisions() -> None:
    asked, one, two = says(Action.REQUEST, AUTHOR), approves(ANNA, sequence=2), approves(BERT, sequence=3)
    remark, published = says(Action.COMMENT, CLEO), says(Action.PUBLISH, AUTHOR, version=None)
    expected: list[tuple[tuple[Decision, ...], State]] = [
        ((), State.REGISTERED),
        ((remark, published), State.REGISTERED),
        ((asked,), State.IN_REVIEW),
        ((one,), State.IN_REVIEW),
        ((asked, one), State.IN_REVIEW),
        ((asked, one, two), State.APPROVED),
    ]
    for decisions, state in expected:
        assert derive_state(decisions, counted(*decisions)) is state
