"""Evaluations, decisions and the states that follow from them: each fault is planted once, and named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, UnavailableError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.serving.aliases import promote, unset
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.lifecycle import retire, unretire
from bucketry.schema import keys
from bucketry.schema.codec import digest_of, encode
from bucketry.schema.documents.evidence import Evidence, Metric, encode_evidence
from bucketry.schema.documents.reviews import Action, Review, encode_review, encode_statement
from bucketry.schema.names import AliasName, Digest, ModelName
from bucketry.store.contract import IfAbsent, Unconditional
from maintenance.offices import besides_records, checked, dossier_of, manifest_of, only, plant_body, plant_review
from maintenance.planting import ALIAS, HEAD, assert_damage, change_row, cite, items, rewrite
from registry.people import ANNA, BERT, CHAT, CLEO, PRODUCTION, Office, open_office
from trust.people import Person

if TYPE_CHECKING:
    from pathlib import Path

STAGING = AliasName("staging")
TWO = "approvals_required = 2"


@pytest.fixture
def office() -> Office:
    return open_office()


# What a dossier cites


@pytest.mark.parametrize("kind", [keys.REVIEWS, keys.EVIDENCE])
@pytest.mark.parametrize(
    ("body", "words"), [(None, "is missing"), (b"{}", "not those that were named"), (b"", "not those that were named")]
)
def test_what_is_cited_and_not_there(office: Office, tmp_path: Path, kind: str, body: bytes | None, words: str) -> None:
    office.decide(ANNA, Action.COMMENT)
    office.measure(auc=0.9)
    cited = (dossier_of(office).reviews if kind == keys.REVIEWS else dossier_of(office).evidence)[0]
    if body is None:
        office.bucket.delete(cited.key)
    else:
        office.bucket.put(cited.key, body, Unconditional())
    report = checked(office, tmp_path)
    assert only(report).key == cited.key
    assert_damage(report, cited.key, words)
    assert "version 1 cites" in only(report).message


@pytest.mark.parametrize(("kind", "what"), [(keys.REVIEWS, "a decision"), (keys.EVIDENCE, "an evaluation")])
def test_what_is_cited_and_does_not_decode(office: Office, tmp_path: Path, kind: str, what: str) -> None:
    key = plant_body(office, b'{"format":1}', folder=kind)
    assert only(checked(office, tmp_path)).key == key
    assert_damage(check_registry(office.session()), key, f"This is {what} that the dossier of version 1 cites, and can")


def test_a_decision_under_another_versions_manifest(office: Office, tmp_path: Path) -> None:
    key = plant_review(office, comment="at home")
    body = office.bucket.get(key).body
    other = keys.review(CHAT, Digest(manifest_of(office, 2)), digest_of(body))
    plant_body(office, body, key=other)
    report = checked(office, tmp_path)
    assert only(report).key == other
    assert_damage(report, other, "does not lie under that version's manifest")


def test_an_evaluation_in_another_place(office: Office, tmp_path: Path) -> None:
    body = encode_evidence(Evidence("automated", (Metric("auc", 0.5),)), dossier_of(office).manifest)
    key = plant_body(office, body, folder=keys.EVIDENCE, key="evidence/acme/chat/elsewhere/1.json")
    assert_damage(checked(office, tmp_path), key, "does not lie under that version's manifest")


def test_an_evaluation_of_another_version(office: Office, tmp_path: Path) -> None:
    body = encode_evidence(Evidence("automated", (Metric("auc", 0.5),)), Digest(manifest_of(office, 2)))
    key = plant_body(office, body, folder=keys.EVIDENCE)
    assert_damage(checked(office, tmp_path), key, "about another version")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("registry", "another"),
        ("model", ModelName("acme", "base")),
        ("manifest", Digest("a" * 64)),
        ("version", 2),
        ("version", None),
    ],
)
def test_a_decision_about_something_else(office: Office, tmp_path: Path, name: str, value: object) -> None:
    key = plant_review(office, **{name: value})
    assert only(checked(office, tmp_path)).key == key
    assert_damage(check_registry(office.session()), key, f"is about another {name}")


def test_a_publish_signature_needs_no_number_and_another_one_is_damage(office: Office, tmp_path: Path) -> None:
    plant_review(office, action=Action.PUBLISH, version=None)
    assert checked(office, tmp_path).findings == ()
    key = plant_review(office, action=Action.PUBLISH, version=2)
    assert_damage(checked(office, tmp_path), key, "is about another version")


def test_a_dossier_that_is_missing_is_one_finding(office: Office, tmp_path: Path) -> None:
    office.decide(ANNA, Action.COMMENT)
    key = next(entry for entry in office.bucket.snapshot() if entry.startswith("pages/"))
    office.bucket.delete(key)
    damage = checked(office, tmp_path).damage
    assert [(finding.key, "is missing" in finding.message) for finding in damage] == [(key, True)]


@pytest.mark.parametrize("action", [Action.REJECT, Action.REVOKE])
def test_a_refusal_that_somebody_took_out_of_the_dossier(office: Office, tmp_path: Path, action: Action) -> None:
    begun = Action.APPROVE if action is Action.REVOKE else Action.REQUEST
    office.decide(ANNA, begun)
    state = office.state()
    office.decide(BERT, action)
    old = dossier_of(office)
    cite(office.session(), replace(old, reviews=old.reviews[:-1]))
    change_row(office.session(), lambda row: row.update(state=state))
    report = checked(office, tmp_path)
    assert_damage(report, HEAD, "does not cite 1 of the refusals")


@pytest.mark.parametrize("kind", [keys.REVIEWS, keys.EVIDENCE])
def test_what_is_cited_twice(office: Office, tmp_path: Path, kind: str) -> None:
    office.decide(ANNA, Action.COMMENT)
    office.measure(auc=0.9)
    old = dossier_of(office)
    twice = replace(old, reviews=old.reviews * 2) if kind == keys.REVIEWS else replace(old, evidence=old.evidence * 2)
    cite(office.session(), twice)
    finding = only(checked(office, tmp_path))
    assert finding.grade == "damage"
    assert "2 times" in finding.message


@pytest.mark.parametrize("key", ["../x", "reviews/", "heads/acme/chat.json", "", "reviews/acme/chat/x/y.json"])
def test_a_cited_key_that_is_none_of_ours_is_corrupt_for_every_reader(office: Office, key: str) -> None:
    office.decide(ANNA, Action.COMMENT)
    old = dossier_of(office)
    cite(office.session(), replace(old, reviews=(replace(old.reviews[0], key=key),)))
    with pytest.raises(CorruptError, match="the key of no evaluation and no decision"):
        office.standing()


def test_a_version_that_names_itself_as_its_base(office: Office, tmp_path: Path) -> None:
    change_row(office.session(), lambda row: row.update(base=f"{CHAT}:1"))
    assert_damage(checked(office, tmp_path), HEAD, "Version 1 names itself as its base")


# Signatures


def test_a_signature_that_holds_is_no_finding(office: Office, tmp_path: Path) -> None:
    statement = office.prepare(ANNA, Action.APPROVE)
    office.record(statement, sshsig=Person(ANNA).sign(statement).sshsig)
    assert checked(office, tmp_path, deep=True).findings == ()


@pytest.mark.parametrize("namespace", ["publish@bucketry", "review@bucketry"])
def test_a_signature_that_does_not_hold_is_found_by_the_deep_check_alone(
    office: Office, tmp_path: Path, namespace: str
) -> None:
    statement = office.prepare(ANNA, Action.COMMENT)
    other = replace(statement, comment="never said") if namespace == "review@bucketry" else statement
    forged = Review(encode_statement(statement), Person(ANNA).sign(other, namespace=namespace).sshsig)
    key = plant_body(office, encode_review(forged))
    assert besides_records(checked(office, tmp_path)) == []
    assert only(checked(office, tmp_path, deep=True)).key == key
    assert_damage(check_registry(office.session(), deep=True), key, "its signature does not hold: ")


def test_a_signature_that_is_none_is_damage(office: Office, tmp_path: Path) -> None:
    forged = Review(encode_statement(office.prepare(ANNA, Action.COMMENT)), "-----BEGIN NOTHING-----")
    key = plant_body(office, encode_review(forged))
    assert_damage(checked(office, tmp_path, deep=True), key, "its signature does not hold: ")


# States


@pytest.mark.parametrize("state", ["in_review", "approved", "rejected"])
def test_a_state_that_nobody_decided(office: Office, tmp_path: Path, state: str) -> None:
    change_row(office.session(), lambda row: row.update(state=state))
    assert only(checked(office, tmp_path)).key == HEAD
    assert_damage(check_registry(office.session()), HEAD, f"Version 1 is {state} in the head; by what was decided")


@pytest.mark.parametrize("state", ["retired", "deleted"])
def test_a_state_that_no_decision_gives_needs_a_record(office: Office, tmp_path: Path, state: str) -> None:
    change_row(office.session(), lambda row: row.update(state=state))
    problems = [finding.message for finding in checked(office, tmp_path).damage]
    assert problems == [f"Version 1 is {state} in the head, and no audit record says so."]


@pytest.mark.parametrize("state", ["registered", "in_review", "approved"])
def test_a_version_that_was_refused_is_rejected_and_nothing_else(office: Office, tmp_path: Path, state: str) -> None:
    office.approve(ANNA)
    office.decide(BERT, Action.REVOKE)
    change_row(office.session(), lambda row: row.update(state=state))
    assert_damage(checked(office, tmp_path), HEAD, "it is rejected")


def test_one_approval_of_two_does_not_make_a_version_approved(office: Office, tmp_path: Path) -> None:
    office.policy(TWO)
    office.approve(ANNA)
    assert checked(office, tmp_path).findings == ()
    change_row(office.session(), lambda row: row.update(state="approved"))
    assert_damage(checked(office, tmp_path), HEAD, "it is in_review")


def test_two_approvals_of_two_do(office: Office, tmp_path: Path) -> None:
    office.policy(TWO)
    office.approve(ANNA, BERT)
    assert checked(office, tmp_path).findings == ()
    change_row(office.session(), lambda row: row.update(state="in_review"))
    assert_damage(checked(office, tmp_path), HEAD, "it is approved")


def test_a_policy_that_came_later_does_not_change_what_was_decided(office: Office, tmp_path: Path) -> None:
    office.approve(ANNA)
    office.policy(TWO)
    office.policy("approvals_required = 3")
    assert office.state() == "approved"
    assert checked(office, tmp_path).findings == ()
    office.decide(CLEO, Action.COMMENT)
    assert office.state() == "in_review"
    assert checked(office, tmp_path).findings == ()


def test_an_approval_that_expired_since_still_decided(office: Office, tmp_path: Path) -> None:
    office.policy("approvals_required = 1\napproval_expires_days = 10")
    office.approve(ANNA)
    office.days = 11
    assert (office.state(), checked(office, tmp_path).findings) == ("approved", ())
    office.decide(BERT, Action.COMMENT)
    assert (office.state(), checked(office, tmp_path).findings) == ("in_review", ())
    change_row(office.session(), lambda row: row.update(state="approved"))
    assert_damage(checked(office, tmp_path), HEAD, "it is in_review")


def test_the_state_after_retirement_is_decided_when_it_ends(office: Office, tmp_path: Path) -> None:
    office.approve(ANNA)
    retire(office.session(), CHAT, 1)
    office.decide(BERT, Action.COMMENT)
    office.policy(TWO)
    assert checked(office, tmp_path).findings == ()
    unretire(office.session(), CHAT, 1)
    assert (office.state(), checked(office, tmp_path).findings) == ("in_review", ())


def test_without_a_whole_trail_only_what_no_policy_allows_is_damage(office: Office, tmp_path: Path) -> None:
    office.policy(TWO)
    office.approve(ANNA)
    rewrite(office.bucket, HEAD, lambda head: items(head, "recent")[0].update(actor="x"))
    change_row(office.session(), lambda row: row.update(state="approved"))
    assert len(checked(office, tmp_path).damage) == 1
    change_row(office.session(), lambda row: row.update(state="registered"))
    assert_damage(checked(office, tmp_path), HEAD, "it is approved or in_review")


@pytest.mark.parametrize(("action", "state"), [(Action.REJECT, "rejected"), (Action.REQUEST, "in_review")])
def test_without_a_whole_trail_a_refusal_still_counts(
    office: Office, tmp_path: Path, action: Action, state: str
) -> None:
    office.decide(ANNA, action)
    rewrite(office.bucket, HEAD, lambda head: items(head, "recent")[0].update(actor="x"))
    assert len(checked(office, tmp_path).damage) == 1
    change_row(office.session(), lambda row: row.update(state="approved"))
    assert_damage(checked(office, tmp_path), HEAD, f"it is {state}.")


# What aliases carry


def test_an_alias_carries_decisions_of_its_version(office: Office, tmp_path: Path) -> None:
    office.approve(ANNA, BERT, version=2)
    assert len(office.carried()) == 2
    assert checked(office, tmp_path).findings == ()


def test_an_alias_that_carries_what_its_version_does_not(office: Office, tmp_path: Path) -> None:
    office.approve(ANNA, BERT, version=2)
    cite(office.session(), dossier_of(office, 1))
    stolen = office.prepare(CLEO, Action.APPROVE, 2)
    document = Review(encode_statement(stolen)).to_document()
    rewrite(office.bucket, ALIAS, lambda alias: items(alias, "reviews").append(document))
    assert only(checked(office, tmp_path)).key == ALIAS
    assert_damage(check_registry(office.session()), ALIAS, "carries 1 of 3 decisions that version 2 does not")


@pytest.mark.parametrize("review", [{}, {"payload": "%"}, "text", 7])
def test_an_alias_that_carries_what_is_no_decision(office: Office, tmp_path: Path, review: object) -> None:
    rewrite(office.bucket, ALIAS, lambda alias: alias.update(reviews=[review]))
    assert_damage(checked(office, tmp_path), ALIAS, "carries a decision that cannot be read")


@pytest.mark.parametrize("field", [{"protected": True}, {"reviews": [{"payload": "e30=", "sshsig": None}]}])
def test_an_alias_that_names_nothing_and_carries_something(
    office: Office, tmp_path: Path, field: dict[str, object]
) -> None:
    unset(office.session(), CHAT, PRODUCTION)
    assert checked(office, tmp_path).findings == ()
    rewrite(office.bucket, ALIAS, lambda alias: alias.update(field))
    assert_damage(checked(office, tmp_path), ALIAS, "names no version, and carries")


def test_an_alias_whose_protection_is_neither_on_nor_off(office: Office, tmp_path: Path) -> None:
    rewrite(office.bucket, ALIAS, lambda alias: alias.update(protected="yes"))
    assert_damage(checked(office, tmp_path), ALIAS, "protected is not true or false")


def test_nothing_is_said_of_what_an_alias_carries_while_a_decision_is_missing(office: Office, tmp_path: Path) -> None:
    office.approve(ANNA, BERT, version=2)
    lost = dossier_of(office, 2).reviews[0].key
    office.bucket.delete(lost)
    assert only(checked(office, tmp_path)).key == lost


# What was begun and not finished


@pytest.mark.parametrize("action", [Action.REJECT, Action.REVOKE])
def test_a_refusal_that_did_not_reach_an_alias_is_unfinished(office: Office, tmp_path: Path, action: Action) -> None:
    if action is Action.REVOKE:
        office.approve(ANNA, version=2)
    statement = office.prepare(BERT, action, 2)
    office.bucket.broken.add(ALIAS)
    with pytest.raises(UnavailableError, match="not every alias"):
        office.record(statement)
    office.bucket.broken.clear()
    finding = only(checked(office, tmp_path))
    assert (finding.grade, finding.key) == ("unfinished", ALIAS)
    assert f"{BERT} refused it." in finding.message
    assert f"`bucketry review {action} acme/chat:2 --comment REASON`" in finding.remedy
    office.decide(BERT, action, 2)
    assert checked(office, tmp_path).findings == ()


def test_a_second_refusal_that_did_not_reach_an_alias_is_unfinished_too(office: Office, tmp_path: Path) -> None:
    office.decide(ANNA, Action.REJECT, 2)
    statement = office.prepare(BERT, Action.REJECT, 2)
    office.bucket.broken.add(ALIAS)
    with pytest.raises(UnavailableError):
        office.record(statement)
    assert only(checked(office, tmp_path)).grade == "unfinished"


def test_a_refusal_is_missed_whatever_became_of_the_version(office: Office, tmp_path: Path) -> None:
    promote(office.session(), CHAT, 1, STAGING)
    statement = office.prepare(BERT, Action.REJECT)
    office.bucket.broken.add(keys.alias(CHAT, STAGING))
    with pytest.raises(UnavailableError):
        office.record(statement)
    retire(office.session(), CHAT, 1)
    assert only(checked(office, tmp_path)).grade == "unfinished"


def test_a_deletion_that_was_not_finished_says_how(office: Office, tmp_path: Path) -> None:
    office.bucket.broken.add(ALIAS)
    with pytest.raises(UnavailableError):
        delete_version(office.session(), CHAT, 3)
    office.bucket.broken.clear()
    report = checked(office, tmp_path)
    assert (report.damage, report.garbage, len(report.unfinished)) == ((), (), 1)
    assert (only(report).key, "`bucketry delete acme/chat:3`" in only(report).remedy) == (HEAD, True)
    delete_version(office.session(), CHAT, 3)
    assert [finding.message for finding in checked(office, tmp_path).findings] == ["No version names these 5 bytes."]


# Garbage


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (keys.review(CHAT, Digest("a" * 64), Digest("b" * 64)), "No version cites this decision."),
        (keys.evidence(CHAT, Digest("a" * 64), Digest("b" * 64)), "No version cites this evaluation."),
        ("reviews/acme/nothing/a/b.json", "This decision belongs to no model."),
        ("evidence/acme/nothing/a/b.json", "This evaluation belongs to no model."),
    ],
)
def test_what_nothing_cites_is_garbage(office: Office, tmp_path: Path, key: str, words: str) -> None:
    office.bucket.put(key, encode({"format": 1}), IfAbsent())
    finding = only(checked(office, tmp_path))
    assert (finding.grade, finding.key, finding.message) == ("garbage", key, words)


def test_a_decision_whose_commit_did_not_come_is_garbage(office: Office, tmp_path: Path) -> None:
    statement = office.prepare(ANNA, Action.APPROVE)
    office.bucket.broken.add(HEAD)
    with pytest.raises(UnavailableError):
        office.record(statement)
    finding = only(checked(office, tmp_path))
    assert (finding.grade, finding.key.startswith("reviews/acme/chat/")) == ("garbage", True)


def test_an_alias_of_a_rejected_version_that_says_so_is_whole(office: Office, tmp_path: Path) -> None:
    office.decide(ANNA, Action.REJECT, 2)
    assert office.alias(PRODUCTION).target is not None
    assert checked(office, tmp_path).findings == ()


def test_nothing_is_called_garbage_while_what_may_name_it_cannot_be_read(office: Office, tmp_path: Path) -> None:
    office.decide(ANNA, Action.COMMENT)
    page = next(key for key in office.bucket.snapshot() if key.startswith("pages/"))
    office.bucket.delete(page)
    assert checked(office, tmp_path).garbage == ()


def test_the_bytes_of_a_version_whose_manifest_is_lost_are_not_called_garbage(office: Office, tmp_path: Path) -> None:
    lost = keys.manifest(CHAT, Digest(manifest_of(office, 3)))
    office.bucket.delete(lost)
    assert only(checked(office, tmp_path)).key == lost
