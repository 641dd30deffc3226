"""What somebody claims in a decision, or by the way they move an alias, takes nothing from what others really did."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bucketry.errors import RejectedError
from bucketry.registry.review.reviewing import record_decision
from bucketry.registry.serving.aliases import promote, roll_back, unset
from bucketry.schema.documents.reviews import Action, Review, encode_statement
from registry.people import ANNA, BERT, CHAT, PRODUCTION, Office, open_office
from trust.people import Person

TWO = 'approvals_required = 2\nprotected_aliases = ["production"]\n'
NO_WORSE = 'protected_aliases = ["production"]\n[[gate]]\nmetric = "auc"\nno_worse_than = "production"\n'


@pytest.fixture
def office() -> Office:
    return open_office()


def sign(office: Office, person: Person) -> None:
    statement = office.prepare(person.principal, Action.APPROVE)
    record_decision(office.session(person.principal), person.sign(statement))


def test_an_unsigned_approval_under_a_name_does_not_displace_the_signed_one(office: Office) -> None:
    sign(office, Person(ANNA))
    promote(office.session(), CHAT, 1, PRODUCTION)
    office.decide(ANNA, Action.APPROVE)
    assert [decision.is_signed for decision in office.carried()] == [True, False]


def test_an_approval_by_another_key_under_a_name_does_not_displace_the_first(office: Office) -> None:
    sign(office, Person(ANNA))
    promote(office.session(), CHAT, 1, PRODUCTION)
    sign(office, Person(ANNA, key=1))
    sign(office, Person(ANNA, key=1))
    assert len(office.carried()) == 2


def test_nobody_fills_an_alias_with_keys_under_one_name(office: Office) -> None:
    for key in range(20):
        sign(office, Person(ANNA, key=key))
    promote(office.session(), CHAT, 1, PRODUCTION)
    assert len(office.carried()) == 16


def test_a_decision_that_claims_a_later_place_is_refused(office: Office) -> None:
    statement = replace(office.prepare(ANNA, Action.APPROVE), sequence=2**53 - 1)
    with pytest.raises(RejectedError, match="claims to be number 9007199254740991"):
        office.record(statement)


def test_an_approval_that_ended_does_not_hide_one_that_counts(office: Office) -> None:
    office.policy(TWO)
    office.decide(ANNA, Action.APPROVE)
    ended = replace(office.prepare(ANNA, Action.APPROVE), expires="2026-03-03T11:00:00Z")
    office.record(ended)
    assert office.standing().approvals.principals == (ANNA,)


@pytest.mark.parametrize("expires", [None, "2099-01-01T00:00:00Z"], ids=["never", "late"])
def test_an_approval_lasts_no_longer_than_the_policy_lets_it(office: Office, expires: str | None) -> None:
    office.policy(TWO + "approval_expires_days = 1\n")
    statement = replace(office.prepare(ANNA, Action.APPROVE), expires=expires)
    with pytest.raises(RejectedError, match="not longer"):
        record_decision(office.session(ANNA), Review(encode_statement(statement)))


def test_a_decision_from_the_future_is_refused(office: Office) -> None:
    statement = replace(office.prepare(BERT, Action.APPROVE), created="2099-01-01T00:00:00Z")
    with pytest.raises(RejectedError, match="from the future"):
        office.record(statement)


def test_to_go_back_to_what_the_alias_never_named_asks_for_the_gates(office: Office) -> None:
    office.measure(1, auc=0.5)
    office.policy('protected_aliases = ["production"]\n[[gate]]\nmetric = "auc"\nat_least = 0.9\n')
    with pytest.raises(RejectedError, match="gates failed"):
        roll_back(office.session(), CHAT, PRODUCTION, to=3)
    unset(office.session(), CHAT, PRODUCTION)
    with pytest.raises(RejectedError, match="gates failed"):
        roll_back(office.session(), CHAT, PRODUCTION, to=3)


def test_unsetting_an_alias_does_not_get_around_no_worse_than(office: Office) -> None:
    for version, auc in ((2, 0.9), (3, 0.5)):
        office.measure(version, auc=auc)
    office.policy(NO_WORSE + 'direction = "higher"\n')
    unset(office.session(), CHAT, PRODUCTION)
    with pytest.raises(RejectedError, match="no worse than production"):
        promote(office.session(), CHAT, 3, PRODUCTION)
    promote(office.session(), CHAT, 2, PRODUCTION)
