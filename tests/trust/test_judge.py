"""Each rule of the trust file, one by one; the attacks on a whole registry are in `test_attacks`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from bucketry.schema.documents.reviews import PUBLISH_NAMESPACE, Action, Review, decision_of
from bucketry.schema.names import AliasName, Digest, ModelName
from bucketry.trust import judge as judge_module
from bucketry.trust.judge import JudgedVersion, UntrustedError, judge
from bucketry.trust.trust_file import parse_trust_file
from trust.people import (
    ANNA,
    AUTHOR,
    BERT,
    CHAT,
    EVERYBODY,
    MANIFEST,
    PRODUCTION,
    REGISTRY,
    STATEMENT,
    STRANGER,
    Person,
    rule,
    signer,
    trust_text,
)

if TYPE_CHECKING:
    from bucketry.schema.documents.reviews import Decision
    from bucketry.trust.judge import Judgement

NOW = datetime(2026, 7, 1, tzinfo=UTC)
SUBJECT = JudgedVersion(REGISTRY, CHAT, 7, MANIFEST, AUTHOR.principal, PRODUCTION, 5)
TRUST = trust_text(*EVERYBODY, rule())
ONE = trust_text(*EVERYBODY, rule(approvals=1))


def judged(
    *decisions: Decision, trust: bytes = TRUST, subject: JudgedVersion = SUBJECT, now: datetime = NOW
) -> Judgement:
    return judge(parse_trust_file(trust), subject, decisions, now=now)


def reasons(judgement: Judgement) -> list[str]:
    return [each.reason for each in judgement.dropped]


def test_enough_approvals_by_distinct_people_are_accepted() -> None:
    found = judged(ANNA.approves(), BERT.approves())
    assert found.accepted
    assert found.approved_by == (ANNA.principal, BERT.principal)
    found.check()


def test_too_few_approvals_are_refused_in_one_line() -> None:
    found = judged(ANNA.approves())
    assert found.refusal == "it has 1 of 2 approvals"
    with pytest.raises(UntrustedError, match=r"^risk/chat@production \(version 7\) is not trusted here: it has 1 of 2"):
        found.check()


def test_a_rule_counts_only_those_whom_it_names() -> None:
    trust = trust_text(*EVERYBODY, rule([ANNA], approvals=1))
    assert not judged(BERT.approves(), trust=trust).accepted
    assert judged(ANNA.approves(), trust=trust).accepted


def test_all_rules_that_speak_about_a_version_must_hold() -> None:
    trust = trust_text(*EVERYBODY, rule([ANNA], approvals=1, models="*"), rule([BERT], approvals=1))
    assert not judged(ANNA.approves(), trust=trust).accepted
    assert judged(ANNA.approves(), BERT.approves(), trust=trust).accepted


def test_a_version_about_which_no_rule_speaks_is_refused() -> None:
    staging = replace(SUBJECT, alias=AliasName("staging"))
    assert "no rule of the trust file is about risk/chat and alias staging" in judged(subject=staging).refusal
    bare = replace(SUBJECT, alias=None, generation=None)
    assert "versions without an alias" in judged(ANNA.approves(), BERT.approves(), subject=bare).refusal


def test_a_version_without_an_alias_needs_a_rule_for_any_alias() -> None:
    bare = replace(SUBJECT, alias=None, generation=None)
    trust = trust_text(*EVERYBODY, rule(aliases="*"))
    assert judged(ANNA.approves(), BERT.approves(), trust=trust, subject=bare).accepted


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"registry": "another"}, "is about another registry"),
        ({"model": ModelName("risk", "other")}, "is about risk/other"),
        ({"manifest": Digest("cd" * 32)}, "is about another manifest"),
        ({"version": 6}, "is about version 6"),
        ({"version": None}, "is about version None"),
        ({"alias": AliasName("staging")}, "is for staging only"),
        ({"expires": "2026-06-30T00:00:00Z"}, "expired at 2026-06-30T00:00:00Z"),
        ({"created": "2026-07-01T00:06:00Z"}, "is from the future (2026-07-01T00:06:00Z)"),
    ],
)
def test_an_approval_of_something_else_or_of_another_time_does_not_count(
    change: dict[str, object], reason: str
) -> None:
    found = judged(ANNA.approves(replace(STATEMENT, **change)), trust=ONE)  # type: ignore[arg-type]
    assert not found.accepted
    assert reasons(found) == [reason]
    assert reason in found.refusal


@pytest.mark.parametrize(
    "change",
    [
        {"alias": PRODUCTION},
        {"expires": "2026-07-02T00:00:00Z"},
        {"created": "2026-07-01T00:04:00Z"},
    ],
)
def test_an_approval_for_this_alias_at_a_good_time_counts(change: dict[str, object]) -> None:
    assert judged(ANNA.approves(replace(STATEMENT, **change)), trust=ONE).accepted  # type: ignore[arg-type]


def test_the_publisher_does_not_count_by_claim_or_by_signature() -> None:
    by_anna = replace(SUBJECT, created_by=ANNA.principal)
    assert reasons(judged(ANNA.approves(), trust=ONE, subject=by_anna)) == ["is by the publisher"]
    published = ANNA.says(Action.PUBLISH, replace(STATEMENT, version=None))
    found = judged(ANNA.approves(), published, trust=ONE)
    assert reasons(found) == ["is by the publisher"]
    assert found.published_by == ANNA.principal


def test_the_publisher_does_not_count_even_where_the_publishing_key_was_revoked() -> None:
    old = Person(ANNA.principal, key=2)
    published = old.says(Action.PUBLISH, replace(STATEMENT, version=None))
    trust = trust_text(*EVERYBODY, signer(old, extra="revoked = true"), rule(approvals=1))
    assert "is by the publisher" in reasons(judged(ANNA.approves(), published, trust=trust))


def test_separate_duties_need_a_signed_publish_by_somebody_trusted() -> None:
    trust = trust_text(*EVERYBODY, rule(approvals=1, extra="separate_duties = true"))
    unversioned = replace(STATEMENT, version=None)
    assert "nobody in the trust file signed its publish" in judged(ANNA.approves(), trust=trust).refusal
    by_stranger = STRANGER.says(Action.PUBLISH, unversioned)
    assert not judged(ANNA.approves(), by_stranger, trust=trust).accepted
    assert judged(ANNA.approves(), AUTHOR.says(Action.PUBLISH, unversioned), trust=trust).accepted


def test_a_key_may_be_kept_to_one_namespace() -> None:
    trust = trust_text(signer(ANNA, f'namespaces="{PUBLISH_NAMESPACE}"'), signer(BERT), rule(approvals=1))
    assert reasons(judged(ANNA.approves(), trust=trust)) == ["is signed by a key that may not sign for review@bucketry"]


def test_a_signature_in_the_wrong_namespace_does_not_count() -> None:
    statement = replace(STATEMENT, principal=ANNA.principal)
    crossed = decision_of(ANNA.sign(statement, namespace=PUBLISH_NAMESPACE), what="a review")
    assert 'is for "publish@bucketry", not for "review@bucketry"' in reasons(judged(crossed, trust=ONE))[0]


def test_an_unsigned_approval_does_not_count() -> None:
    unsigned = decision_of(Review(ANNA.approves().review.payload), what="a review")
    assert reasons(judged(unsigned, trust=ONE)) == ["is not signed"]


def test_a_key_is_judged_at_the_moment_of_the_statement() -> None:
    def trust(options: str) -> bytes:
        return trust_text(signer(ANNA, options), signer(BERT), rule(approvals=1))

    assert judged(ANNA.approves(), trust=trust('valid-before="20260615Z"')).accepted
    found = judged(ANNA.approves(), trust=trust('valid-before="20260515Z"'))
    assert reasons(found) == ["is signed with a key that was not valid at 2026-06-01T12:00:00Z"]
    assert not judged(ANNA.approves(), trust=trust('valid-after="20260615Z"')).accepted


def test_a_revoked_key_ends_the_approvals_that_it_signed() -> None:
    for trust in (
        trust_text(*EVERYBODY, rule(approvals=1), top=f'revoked_keys = ["{ANNA.fingerprint}"]'),
        trust_text(signer(ANNA, extra="revoked = true"), signer(BERT), rule(approvals=1)),
        trust_text(signer(ANNA, extra=f'revoked_keys = ["{ANNA.fingerprint}"]'), signer(BERT), rule(approvals=1)),
    ):
        assert reasons(judged(ANNA.approves(), trust=trust)) == ["is signed with a key that was revoked"]


@pytest.mark.parametrize("action", [Action.REJECT, Action.REVOKE])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"expires": "2026-06-02T00:00:00Z"},
        {"created": "2020-01-01T00:00:00Z"},
        {"created": "2030-01-01T00:00:00Z"},
        {"alias": AliasName("staging")},
        {"version": 6},
    ],
)
def test_a_refusal_by_somebody_trusted_ends_it_however_old(action: Action, change: dict[str, object]) -> None:
    refusal = AUTHOR.says(action, replace(STATEMENT, **change))  # type: ignore[arg-type]
    found = judged(refusal, ANNA.approves(), BERT.approves())
    assert found.refused_by == (AUTHOR.principal,)
    assert f"{AUTHOR.principal} {'rejected' if action is Action.REJECT else 'revoked'} it" in found.refusal


def test_a_refusal_by_a_key_that_was_revoked_since_stands() -> None:
    trust = trust_text(*EVERYBODY, rule(), top=f'revoked_keys = ["{AUTHOR.fingerprint}"]')
    assert not judged(AUTHOR.says(Action.REJECT), ANNA.approves(), BERT.approves(), trust=trust).accepted


@pytest.mark.parametrize("change", [{"manifest": Digest("cd" * 32)}, {"registry": "another"}])
def test_a_refusal_of_something_else_or_by_a_stranger_does_not_end_it(change: dict[str, object]) -> None:
    elsewhere = AUTHOR.says(Action.REJECT, replace(STATEMENT, **change))  # type: ignore[arg-type]
    assert judged(elsewhere, STRANGER.says(Action.REJECT), ANNA.approves(), BERT.approves()).accepted


def test_the_trust_file_can_deny_a_manifest_and_set_a_lowest_generation() -> None:
    denied = trust_text(*EVERYBODY, rule(), top=f'denied_manifests = ["sha256:{MANIFEST}"]')
    assert "denies manifest" in judged(ANNA.approves(), BERT.approves(), trust=denied).refusal
    lowest = trust_text(*EVERYBODY, rule(), top="lowest_generation = 6")
    found = judged(ANNA.approves(), BERT.approves(), trust=lowest)
    assert found.refusal == "its generation 5 is below 6, the trust file's lowest"
    assert judged(ANNA.approves(), BERT.approves(), trust=lowest, subject=replace(SUBJECT, generation=6)).accepted


def test_another_registry_is_refused() -> None:
    assert "this is registry another" in judged(subject=replace(SUBJECT, registry="another")).refusal


def test_decisions_without_end_are_not_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_module, "MOST_DECISIONS", 1)
    assert judged(ANNA.approves(), BERT.approves()).refusal == "it carries 2 decisions; the limit is 1"
