from __future__ import annotations

from dataclasses import replace

import pytest

from bucketry.errors import CorruptError, NotFoundError, RejectedError, UnavailableError, UsageError
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_dossier, load_row
from bucketry.registry.review import reviewing
from bucketry.registry.review.reviewing import ask_for_review, record_decision
from bucketry.registry.serving.aliases import promote, roll_back
from bucketry.registry.serving.auditing import load_audit
from bucketry.registry.versions.lifecycle import retire, unretire
from bucketry.schema import keys
from bucketry.schema.documents.reviews import Action, Review, encode_statement
from bucketry.schema.documents.states import State
from bucketry.schema.names import AliasName, Digest, ModelName
from bucketry.store.contract import IfMatch
from registry.people import ANNA, BERT, CHAT, CLEO, PRODUCTION, TRAINER, Office, open_office
from trust.people import Person

STAGING = AliasName("staging")
TWO = 'approvals_required = 2\nprotected_aliases = ["production"]\n'
GATED = TWO + '[[gate]]\nmetric = "auc"\nat_least = 0.9\n'


@pytest.fixture
def office() -> Office:
    return open_office()


def test_a_request_an_approval_and_another_make_a_version_approved(office: Office) -> None:
    office.policy(TWO)
    assert office.decide(TRAINER, Action.REQUEST).state is State.IN_REVIEW
    assert office.decide(ANNA, Action.APPROVE).state is State.IN_REVIEW
    decided = office.decide(BERT, Action.APPROVE)
    assert decided.state is State.APPROVED
    assert decided.approvals.principals == (ANNA, BERT)
    assert office.state() == "approved"


def test_decisions_are_numbered_in_the_order_in_which_they_are_made(office: Office) -> None:
    for actor in (ANNA, BERT, CLEO):
        office.decide(actor, Action.COMMENT)
    assert [d.statement.sequence for d in office.standing().decisions] == [1, 2, 3]


def test_every_decision_is_in_the_audit_trail(office: Office) -> None:
    office.decide(ANNA, Action.APPROVE)
    office.decide(BERT, Action.REVOKE, comment="x" * 500)
    audit = load_audit(office.session(), CHAT)
    assert audit.verified
    told = [(entry.record.action, entry.record.actor, entry.record.target) for entry in audit.entries]
    assert ("approve", ANNA, "1") in told
    assert ("revoke", BERT, "1") in told


def test_a_decision_prepared_for_another_manifest_is_refused(office: Office) -> None:
    statement = replace(office.prepare(ANNA, Action.APPROVE), manifest=Digest("ab" * 32))
    with pytest.raises(RejectedError, match="version 1 is not the manifest"):
        office.record(statement)
    assert office.state() == "registered"


def test_a_decision_about_another_registry_or_model_or_version_is_refused(office: Office) -> None:
    statement = office.prepare(ANNA, Action.APPROVE)
    with pytest.raises(UsageError, match="another registry"):
        office.record(replace(statement, registry="somewhere else"))
    with pytest.raises(NotFoundError, match="no model"):
        office.record(replace(statement, model=ModelName("acme", "nothing")))
    with pytest.raises(RejectedError, match="version 2 is not the manifest"):
        office.record(replace(statement, version=2))
    with pytest.raises(NotFoundError, match="no version 99"):
        office.record(replace(statement, version=99))


def test_a_publish_signature_is_no_decision(office: Office) -> None:
    statement = office.prepare(ANNA, Action.APPROVE)
    for wrong in (replace(statement, version=None), replace(statement, action=Action.PUBLISH)):
        with pytest.raises(UsageError, match="not a decision about a version"):
            office.record(wrong)


def test_a_signature_over_other_bytes_is_refused_before_anything_is_written(office: Office) -> None:
    before = office.bucket.snapshot()
    statement = office.prepare(ANNA, Action.APPROVE)
    other = Person(ANNA).sign(replace(statement, comment="something else"))
    with pytest.raises(RejectedError, match="signature"):
        office.record(statement, sshsig=other.sshsig)
    assert office.bucket.snapshot() == before


def test_the_same_decision_twice_is_recorded_once(office: Office) -> None:
    statement = office.prepare(ANNA, Action.APPROVE)
    assert office.record(statement).state is office.record(statement).state is State.APPROVED
    assert len(office.standing().decisions) == 1


def test_evidence_that_came_since_an_approval_was_prepared_is_to_be_looked_at(office: Office) -> None:
    statement = office.prepare(ANNA, Action.APPROVE)
    office.measure(auc=0.95)
    with pytest.raises(RejectedError, match="evidence of version 1 changed since this approval was prepared"):
        office.record(statement)
    assert office.decide(ANNA, Action.APPROVE).state is State.APPROVED


def test_evidence_that_came_does_not_stop_a_refusal(office: Office) -> None:
    statement = office.prepare(ANNA, Action.REJECT)
    office.measure(auc=0.95)
    assert office.record(statement).state is State.REJECTED


def test_an_approval_is_refused_while_a_gate_fails_and_says_which(office: Office) -> None:
    office.policy(GATED)
    with pytest.raises(RejectedError, match=r"version 1 cannot be approved, 1 of 1 gates failed: auc >= 0.9"):
        office.prepare(ANNA, Action.APPROVE)
    office.measure(auc=0.8)
    with pytest.raises(RejectedError, match=r"0\.8"):
        office.prepare(ANNA, Action.APPROVE)
    office.measure(auc=0.95)
    statement = office.prepare(ANNA, Action.APPROVE)
    assert [gate["passed"] for gate in statement.gates] == [True]
    assert len(statement.evidence) == 2
    office.record(statement)


def test_gates_are_asked_again_on_the_head_that_is_replaced(office: Office) -> None:
    office.measure(auc=0.8)
    statement = office.prepare(ANNA, Action.APPROVE)
    office.bucket.before["put", keys.head(CHAT)] = lambda: office.policy(GATED)
    with pytest.raises(RejectedError, match="cannot be approved"):
        office.record(statement)
    assert office.standing().decisions == ()


def test_a_refusal_is_possible_whatever_a_gate_would_have_to_read(office: Office) -> None:
    office.policy(TWO + "[[gate]]\npickle_scan = true\n")
    for entry in list(office.bucket.list(keys.blobs(CHAT))):
        office.bucket.delete(entry.key)  # type: ignore[union-attr]
    assert office.decide(ANNA, Action.REJECT).state is State.REJECTED


def test_comments_leave_room_for_a_refusal(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviewing, "MOST_REVIEWS", 3)
    for actor in (ANNA, BERT, CLEO):
        office.decide(actor, Action.COMMENT)
    for action in (Action.COMMENT, Action.APPROVE, Action.REQUEST):
        with pytest.raises(RejectedError, match="has 3 decisions, the most"):
            office.decide(ANNA, action)
    assert office.decide(ANNA, Action.REJECT).state is State.REJECTED


def test_a_preparation_says_what_the_record_would_but_for_the_signature_to_come(office: Office) -> None:
    office.policy('approvals_required = 1\nsignatures = "required"\n')
    statement = office.prepare(ANNA, Action.APPROVE)
    with pytest.raises(RejectedError, match="asks for signed approvals"):
        office.record(statement)
    office.policy('approvals_required = 1\nsignatures = "required"\nseparate_duties = true\n')
    with pytest.raises(RejectedError, match="nobody signed the publish of version 1"):
        office.prepare(ANNA, Action.APPROVE)
    with pytest.raises(RejectedError, match="published version 1 and cannot approve it"):
        office.prepare(TRAINER, Action.APPROVE)


def test_a_refusal_reaches_the_alias_that_names_the_version_and_touches_the_others(office: Office) -> None:
    promote(office.session(), CHAT, 2, STAGING)
    promote(office.session(), CHAT, 1, PRODUCTION)
    office.approve(ANNA)
    before = office.alias(STAGING).generation
    decided = office.decide(BERT, Action.REVOKE)
    assert decided.reached == (PRODUCTION,)
    told = office.alias()
    assert told.target is not None
    assert (told.target.version, told.target.state) == (1, State.REJECTED)
    assert [d.statement.action for d in office.carried()] == [Action.APPROVE, Action.REVOKE]
    assert office.alias(STAGING).generation == before + 1
    assert office.carried(STAGING) == []


def test_a_promoter_that_has_not_seen_the_refusal_loses(office: Office) -> None:
    key = keys.alias(CHAT, PRODUCTION)
    office.bucket.before["put", key] = lambda: office.decide(BERT, Action.REJECT)
    with pytest.raises(RejectedError, match="version 1 is rejected"):
        promote(office.session(), CHAT, 1, PRODUCTION)
    target = office.alias().target
    assert target is not None
    assert target.version == 2


def test_a_refusal_that_did_not_reach_an_alias_is_not_acknowledged_and_is_finished_by_another(office: Office) -> None:
    promote(office.session(), CHAT, 1, PRODUCTION)
    office.bucket.broken.add(keys.alias(CHAT, PRODUCTION))
    with pytest.raises(
        UnavailableError, match=r"to reject acme/chat:1 is on record, but not every alias could be told"
    ):
        office.decide(ANNA, Action.REJECT)
    assert office.state() == "rejected"
    target = office.alias().target
    assert target is not None
    assert target.state is State.REGISTERED
    office.bucket.broken.clear()
    assert office.decide(BERT, Action.REJECT).reached == (PRODUCTION,)
    assert [d.statement.principal for d in office.carried()] == [ANNA, BERT]


def test_an_approval_is_told_only_to_the_alias_that_names_the_version(office: Office) -> None:
    promote(office.session(), CHAT, 1, PRODUCTION)
    promote(office.session(), CHAT, 2, STAGING)
    before = office.alias(STAGING).generation
    assert office.decide(ANNA, Action.APPROVE).reached == (PRODUCTION,)
    assert [d.statement.principal for d in office.carried()] == [ANNA]
    assert office.alias(STAGING).generation == before
    assert office.decide(TRAINER, Action.COMMENT).reached == ()
    assert len(office.carried()) == 1


def test_an_approval_on_its_way_does_not_overwrite_a_refusal_that_was_told(office: Office) -> None:
    promote(office.session(), CHAT, 1, PRODUCTION)
    office.approve(BERT)
    key = keys.alias(CHAT, PRODUCTION)
    office.bucket.before["put", key] = lambda: office.decide(BERT, Action.REVOKE)
    office.decide(ANNA, Action.APPROVE)
    assert {d.statement.action for d in office.carried()} == {Action.APPROVE, Action.REVOKE}
    target = office.alias().target
    assert target is not None
    assert target.state is State.REJECTED


def test_an_alias_carries_the_newest_approval_of_each_and_no_talk(office: Office) -> None:
    office.policy("approvals_required = 1\napproval_expires_days = 30\n")
    office.decide(TRAINER, Action.REQUEST)
    early = office.prepare(ANNA, Action.APPROVE)
    office.days = 10
    office.decide(ANNA, Action.APPROVE)
    office.decide(BERT, Action.COMMENT)
    promote(office.session(), CHAT, 1, PRODUCTION)
    (carried,) = office.carried()
    assert carried.statement.created.startswith("2026-03-13")
    # Signed elsewhere, and submitted after a newer one: it is still the older one.
    office.record(replace(early, sequence=2))
    assert [d.statement.created for d in office.carried()] == [carried.statement.created]


def test_an_approval_ends_and_is_renewed_in_the_alias(office: Office) -> None:
    office.policy(TWO.replace("2", "1") + "approval_expires_days = 30\n")
    office.approve(ANNA)
    promote(office.session(), CHAT, 1, PRODUCTION)
    assert office.standing().approvals.expires == "2026-04-02T12:00:00.000Z"
    office.days = 20
    office.approve(ANNA)
    assert [d.statement.expires for d in office.carried()] == ["2026-04-22T12:00:00.000Z"]
    office.days = 60
    assert not office.standing().approvals.are_enough
    promote(office.session(), CHAT, 2, STAGING)
    with pytest.raises(RejectedError, match=r"has 0 of 1 approvals; anna@example\.org does not count: expired"):
        promote(office.session(), CHAT, 1, PRODUCTION)


def test_a_protected_alias_asks_for_approvals_and_gates_and_others_do_not(office: Office) -> None:
    office.policy(GATED)
    with pytest.raises(RejectedError, match="acme/chat@production is protected and version 1 has 0 of 2 approvals"):
        promote(office.session(), CHAT, 1, PRODUCTION)
    assert promote(office.session(), CHAT, 1, STAGING).target == 1
    office.measure(auc=0.95)
    office.approve(ANNA, BERT)
    office.measure(auc=0.5)
    with pytest.raises(RejectedError, match="cannot be promoted"):
        promote(office.session(), CHAT, 1, PRODUCTION)
    office.measure(auc=0.96)
    move = promote(office.session(), CHAT, 1, PRODUCTION)
    assert (move.previous, move.target) == (2, 1)
    assert office.alias().protected


def test_a_rollback_asks_for_approvals_but_not_for_gates(office: Office) -> None:
    office.policy(TWO)
    for version in (1, 3):
        office.approve(ANNA, BERT, version=version)
        promote(office.session(), CHAT, version, PRODUCTION)
    office.policy(GATED)
    assert roll_back(office.session(), CHAT, PRODUCTION).target == 1
    with pytest.raises(RejectedError, match="version 2 has 0 of 2 approvals"):
        roll_back(office.session(), CHAT, PRODUCTION, to=2)
    office.decide(BERT, Action.REVOKE, 3)
    with pytest.raises(RejectedError, match="version 3 is rejected"):
        roll_back(office.session(), CHAT, PRODUCTION, to=3)


def test_a_retired_version_can_be_refused_and_stays_refused(office: Office) -> None:
    office.approve(ANNA)
    promote(office.session(), CHAT, 1, PRODUCTION)
    retire(office.session(), CHAT, 1)
    with pytest.raises(RejectedError, match="take it out of retirement first"):
        office.decide(BERT, Action.APPROVE)
    assert office.decide(BERT, Action.COMMENT).state is State.RETIRED
    assert office.decide(BERT, Action.REVOKE).reached == (PRODUCTION,)
    assert office.state() == "rejected"
    retire(office.session(), CHAT, 1)
    unretire(office.session(), CHAT, 1)
    assert office.state() == "rejected"


def test_a_version_that_is_retired_before_the_alias_is_told_is_told_as_rejected(office: Office) -> None:
    promote(office.session(), CHAT, 1, PRODUCTION)
    office.bucket.before["get", keys.alias(CHAT, PRODUCTION)] = lambda: retire(office.session(), CHAT, 1)
    office.decide(ANNA, Action.REJECT)
    assert office.state() == "retired"
    target = office.alias().target
    assert target is not None
    assert target.state is State.REJECTED


def test_a_retired_version_comes_back_as_its_reviews_say(office: Office) -> None:
    office.approve(ANNA)
    retire(office.session(), CHAT, 1)
    unretire(office.session(), CHAT, 1)
    assert office.state() == "approved"


def test_a_repeated_publish_asks_for_a_review_once(office: Office) -> None:
    asked = ask_for_review(office.session(TRAINER), CHAT, 1, comment="please")
    assert asked is not None
    assert asked.state is State.IN_REVIEW
    assert ask_for_review(office.session(TRAINER), CHAT, 1) is None
    office.decide(ANNA, Action.REJECT, 2)
    assert ask_for_review(office.session(TRAINER), CHAT, 2) is None


def test_a_decision_whose_object_is_gone_is_damage(office: Office) -> None:
    office.decide(ANNA, Action.APPROVE)
    session = office.session()
    head = load_existing_head(session, CHAT)
    (cited,) = load_dossier(session, head, load_row(session, head, 1)).reviews
    office.bucket.delete(cited.key)
    with pytest.raises(CorruptError, match="is missing"):
        office.standing()


def test_a_decision_that_was_edited_in_the_bucket_is_damage(office: Office) -> None:
    office.decide(ANNA, Action.REJECT)
    session = office.session()
    head = load_existing_head(session, CHAT)
    (cited,) = load_dossier(session, head, load_row(session, head, 1)).reviews
    found = office.bucket.get(cited.key)
    office.bucket.put(cited.key, found.body.replace(b"A", b"B", 1), IfMatch(found.etag))
    with pytest.raises(CorruptError, match="are not those that its name says"):
        office.standing()


def test_a_read_only_session_decides_nothing(office: Office) -> None:
    statement = office.prepare(ANNA, Action.APPROVE)
    session = replace(office.session(ANNA), read_only=True)
    with pytest.raises(RejectedError, match="read-only"):
        record_decision(session, Review(encode_statement(statement)))
