from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pytest

from bucketry.errors import NotFoundError
from bucketry.index.refresh import refresh_index
from bucketry.index.review_queue import WaitingVersion, list_waiting, load_review_queue
from bucketry.index.store import Index
from bucketry.registry.core import rows
from bucketry.registry.core.counting import counted
from bucketry.registry.core.registers import load_directory
from bucketry.registry.core.session import Session
from bucketry.schema import keys
from bucketry.schema.documents.pages import ROWS_KEPT, decode_page
from bucketry.schema.documents.reviews import Action
from bucketry.schema.names import ModelName
from bucketry.store.contract import Unconditional
from registry.people import ANNA, BERT, CLEO, TRAINER, Office, open_office
from simulation.world import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
TWO = "approvals_required = 2\n"


@pytest.fixture
def office() -> Office:
    return open_office()


def waiting(office: Office, actor: str = CLEO, *, mine: bool = False) -> list[tuple[str, int]]:
    return [(str(item.model), item.standing.row.version) for item in queue(office, actor, mine=mine)]


def queue(office: Office, actor: str = CLEO, *, mine: bool = False) -> list[WaitingVersion]:
    return list_waiting(office.session(actor), mine=mine)


def test_what_nobody_asked_about_does_not_wait(office: Office) -> None:
    office.decide(ANNA, Action.COMMENT)
    assert queue(office) == []


def test_a_registry_without_models_is_empty_and_a_missing_one_is_not() -> None:
    with pytest.raises(NotFoundError, match="no registry"):
        list_waiting(Session(Bucket(), "ada@example.org"))


def test_who_asked_first_waits_longest_in_whichever_model(office: Office) -> None:
    other = ModelName("acme", "other")
    office.publish(other)
    office.decide(ANNA, Action.REQUEST, 3)
    office.days = 1
    office.decide(BERT, Action.REQUEST, 1)
    office.days = 2
    office.decide(CLEO, Action.REQUEST, 3)
    found = queue(office)
    assert [(item.standing.row.version, item.asked_by, item.since[:10]) for item in found] == [
        (3, ANNA, "2026-03-03"),
        (1, BERT, "2026-03-04"),
    ]


def test_an_approval_that_nobody_asked_for_waits_since_the_publish(office: Office) -> None:
    office.policy(TWO)
    office.approve(ANNA)
    (item,) = queue(office)
    assert (item.asked_by, item.since, item.renewal) == (TRAINER, "2026-03-03T12:00:00.000Z", False)
    assert item.standing.approvals.principals == (ANNA,)


def test_mine_is_what_i_may_decide_and_have_not_yet(office: Office) -> None:
    office.policy(TWO + f'separate_duties = true\nreviewers = ["{ANNA}", "{BERT}", "{TRAINER}"]\n')
    office.decide(TRAINER, Action.REQUEST)
    office.approve(ANNA)
    assert waiting(office, BERT, mine=True) == [("acme/chat", 1)]
    assert waiting(office, ANNA, mine=True) == []  # has approved
    assert waiting(office, TRAINER, mine=True) == []  # published it
    assert waiting(office, CLEO, mine=True) == []  # is no reviewer
    assert waiting(office, CLEO) == [("acme/chat", 1)]


@pytest.mark.parametrize("action", [Action.REJECT, Action.APPROVE])
def test_what_is_decided_waits_no_more(office: Office, action: Action) -> None:
    office.decide(TRAINER, Action.REQUEST)
    office.decide(ANNA, action)
    assert queue(office) == []


def test_which_gates_hold_is_said(office: Office) -> None:
    office.decide(TRAINER, Action.REQUEST)
    office.policy('[[gate]]\nmetric = "auc"\nat_least = 0.9\n')
    (item,) = queue(office)
    assert [gate.passed for gate in item.gates] == [False]
    office.measure(auc=0.95)
    (item,) = queue(office)
    assert [gate.passed for gate in item.gates] == [True]


def test_an_approval_is_to_be_renewed_two_weeks_before_it_ends_by_who_gave_it(office: Office) -> None:
    office.policy("approvals_required = 1\napproval_expires_days = 30\n")
    office.approve(ANNA)
    office.days = 15.9
    assert queue(office) == []
    office.days = 16
    (item,) = queue(office, ANNA, mine=True)
    assert item.renewal
    assert item.standing.approvals.expires == "2026-04-02T12:00:00.000Z"
    assert waiting(office, BERT) == [("acme/chat", 1)]
    assert waiting(office, BERT, mine=True) == []
    office.approve(ANNA)
    assert queue(office) == []


def test_an_approval_that_has_ended_waits_for_a_review_by_anybody(office: Office) -> None:
    office.policy("approvals_required = 1\napproval_expires_days = 30\n")
    office.approve(ANNA)
    office.days = 40
    (item,) = queue(office, BERT, mine=True)
    assert not item.renewal


def test_a_policy_that_asks_for_more_or_for_less_decides_what_waits_now(office: Office) -> None:
    office.policy("approvals_required = 1\n")
    office.approve(ANNA)
    assert queue(office) == []
    office.policy(TWO)
    assert waiting(office, BERT, mine=True) == [("acme/chat", 1)]
    office.approve(ANNA, version=3)
    assert waiting(office) == [("acme/chat", 1), ("acme/chat", 3)]
    office.policy("approvals_required = 1\n")
    assert queue(office) == []


def test_an_approval_on_evidence_that_grew_goes_on_counting_and_does_not_wait(office: Office) -> None:
    office.policy("approvals_required = 1\n")
    office.approve(ANNA)
    office.measure(auc=0.1)
    assert queue(office) == []
    assert office.standing().approvals.principals == (ANNA,)


def test_a_damaged_head_hides_nothing_of_other_models_and_is_named(office: Office) -> None:
    other = ModelName("acme", "other")
    office.publish(other)
    office.decide(TRAINER, Action.REQUEST)
    office.bucket.put(keys.head(other), b"{", Unconditional())
    queue = load_review_queue(office.session(CLEO))
    assert [str(item.model) for item in queue.waiting] == ["acme/chat"]
    assert any("acme/other" in fault for fault in queue.faults)


def test_a_damaged_dossier_hides_no_other_version_and_is_named(office: Office) -> None:
    office.decide(TRAINER, Action.REQUEST, 1)
    office.decide(TRAINER, Action.REQUEST, 3)
    dossier = office.standing(1).row.dossier
    assert dossier is not None
    office.bucket.put(keys.page(ModelName("acme", "chat"), dossier), b"{", Unconditional())
    queue = load_review_queue(office.session(CLEO))
    assert [item.standing.row.version for item in queue.waiting] == [3]
    assert any(fault.startswith("acme/chat:1 cannot be read") for fault in queue.faults)


def test_what_was_counted_as_approved_is_not_read_again_before_it_is_to_be_renewed(office: Office) -> None:
    office.policy("approvals_required = 1\napproval_expires_days = 30\n")
    office.approve(ANNA)
    with Index(None) as index:
        requests = []
        for days in (0.0, 1.0, 16.0):
            office.days = days
            session, count = counted(office.session(CLEO))
            found = load_review_queue(session, index=index).waiting
            requests.append(count.made)
        assert [item.renewal for item in found] == [True]
    first, again, renewed = requests
    assert again < first
    assert renewed > again


def test_another_policy_makes_what_was_counted_wait(office: Office) -> None:
    office.policy("approvals_required = 1\n")
    office.approve(ANNA)
    with Index(None) as index:
        assert load_review_queue(office.session(CLEO), index=index).waiting == []
        office.policy(TWO)
        (item,) = load_review_queue(office.session(CLEO), index=index).waiting
    assert not item.renewal


def test_the_rows_of_a_large_model_are_read_page_by_page(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counting(function: Callable[..., T]) -> Callable[..., T]:
        def call(*arguments: object, **named: object) -> T:
            read.append(function.__name__)
            return function(*arguments, **named)

        return call

    office.policy(TWO)
    for _ in range(2 * ROWS_KEPT):
        office.publish()
    asked = [1, 2, 3, ROWS_KEPT + 1, 2 * ROWS_KEPT]
    for version in asked:
        office.decide(TRAINER, Action.REQUEST, version)
    monkeypatch.setattr(rows, "load_directory", counting(load_directory))
    monkeypatch.setattr(rows, "decode_page", counting(decode_page))
    with Index(None) as index:
        session = office.session(CLEO)
        refresh_index(index, session, details=False)
        read.clear()
        found = load_review_queue(session, index=index).waiting
    assert sorted(item.standing.row.version for item in found) == asked
    assert read == ["load_directory", "decode_page"]
