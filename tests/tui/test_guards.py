"""Is what serves for real touched only after it was asked for, and is what is forbidden said before it is typed?"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from bucketry.errors import UnavailableError
from bucketry.registry.core.registers import load_alias, load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.registry.review.policies import set_policy
from bucketry.registry.serving.aliases import promote, unset
from bucketry.registry.serving.auditing import load_audit
from bucketry.registry.versions.lifecycle import retire
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action
from bucketry.schema.names import AliasName
from tui.desk import CHAT, PRODUCTION, RISK, STAGING, TRAINER, Registry, Wire, filled_registry
from tui.evaluated import on

if TYPE_CHECKING:
    from bucketry.store.contract import Store
    from tui.desk import Desk

VERSIONS = ("G", "enter")
SERVING = (*VERSIONS, "j", "j", "j")
"""On v9, which production names."""
EVE = "eve@example.org"
pytestmark = pytest.mark.usefixtures("no_agent")


def target(registry: Registry, alias: AliasName = PRODUCTION) -> int | None:
    register = load_alias(registry.session(), RISK, alias).state
    return register.target.version if register is not None and register.target is not None else None


def state(registry: Registry, version: int) -> str:
    session = registry.session()
    return load_row(session, load_existing_head(session, RISK), version).state.value


def standing(registry: Registry) -> tuple[int | None, int | None, str, str]:
    """Return what a key could change: what the aliases name, and how what serves stands."""
    return target(registry), target(registry, STAGING), state(registry, 9), state(registry, 8)


def reasons(registry: Registry) -> list[str]:
    entries = load_audit(registry.session(), RISK).entries
    return [str(entry.record.detail["reason"]) for entry in entries if entry.record.detail.get("reason")]


async def move_production(desk: Desk) -> None:
    """Move production from v9 to v8, as a user does."""
    await desk.press(*VERSIONS, "j", "j", "j", "j", "P")
    await desk.type("production")
    await desk.press("enter")
    await desk.type("credit-risk")
    await desk.press("enter")
    assert "production: v9 -> v8" in desk.notice


@pytest.mark.parametrize("key", list("TX"))
def test_what_production_names_is_touched_only_after_the_models_name(key: str) -> None:
    registry = filled_registry()
    before = standing(registry)

    async def act(desk: Desk) -> None:
        await desk.press(*SERVING, key, "enter", "y", "enter")
        assert standing(registry) == before
        assert "credit-risk:9 PROD" in desk.text
        assert "credit-risk:9 is what production names" in desk.text
        assert "serves: nobody reported to follow it" in desk.text
        await desk.press("ctrl+u")
        await desk.type("credit-risk leaks data")
        await desk.press("enter")

    on(registry, act)
    assert state(registry, 9) == {"T": "retired", "X": "rejected"}[key]
    assert "leaks data" in reasons(registry)


def test_to_refuse_what_production_names_needs_the_reason_behind_the_name() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*SERVING, "X")
        await desk.type("credit-risk")
        await desk.press("enter")
        assert "the reason is missing" in desk.notice

    on(registry, act)
    assert state(registry, 9) == "approved"


@pytest.mark.parametrize("key", ["P", "B", "U", "T", "X", "D"])
def test_a_reason_is_kept_where_the_name_confirms_and_the_name_is_typed_anew(key: str) -> None:
    registry = filled_registry()
    registry.decide(12, Action.APPROVE)
    wire = Wire(registry.store)
    registry.store = cast("Store", wire)
    asks = {"P": ("production",), "B": ("",)}

    async def ask(desk: Desk) -> None:
        await desk.press(key)
        for text in asks.get(key, ()):
            await desk.type(text)
            await desk.press("enter")

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter")
        if key == "U":
            await desk.press("P")
            await desk.type("production")
            await desk.press("enter")
            await desk.type("credit-risk")
            await desk.press("enter")
        await desk.press(*(("j", "j", "j") if key in "TX" else ()))  # on what production names
        await ask(desk)
        await desk.type("credit-risk it drifts")
        wire.fault = UnavailableError("the bucket does not answer")
        await desk.press("enter")
        assert "the bucket does not answer" in desk.notice
        wire.fault = None
        await desk.press("r")
        await ask(desk)
        assert "reason: it drifts" in desk.text
        assert "name differs" in desk.text
        await desk.type("credit-risk")
        await desk.press("enter")
        assert not desk.app.asking.has_question

    on(registry, act)
    assert reasons(registry)[-1] == "it drifts"


def test_who_undoes_what_another_moved_meanwhile_keeps_the_text_and_is_told() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await move_production(desk)
        await desk.press("U")
        await desk.type("credit-risk it was right")
        promote(registry.session(TRAINER), RISK, 9, PRODUCTION, reason="mine")
        await desk.press("enter")
        assert "credit-risk it was right" in desk.lines[-2]
        assert "REFUSED: esc closes" in desk.lines[-2]
        assert TRAINER in desk.text
        assert "mine" in desk.text

    on(registry, act)
    assert target(registry) == 9


def test_an_alias_that_is_not_set_is_refused_in_plain_words() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "B", "ctrl+u")
        await desk.type("nightly")
        await desk.press("enter")
        assert "REFUSED: credit-risk@nightly is not set" in desk.text
        assert "REFUSED: esc closes" in desk.lines[-2]
        assert "serves:" not in desk.text

    on(filled_registry(), act)


def test_undo_of_a_move_of_production_asks_as_the_move_did_and_takes_a_reason() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await move_production(desk)
        await desk.press("U", "enter", "y", "enter")
        assert target(registry) == 8
        assert "UNDO ON PROD" in desk.text
        assert "v8  ->  v9" in desk.text
        await desk.press("escape", "U")  # given up, it can be asked for again
        await desk.type("credit-risk it was right")
        await desk.press("enter")
        assert "undone: credit-risk@production names v9 again" in desk.notice
        await desk.press("U")
        assert "there is nothing to undo" in desk.notice

    on(registry, act)
    assert target(registry) == 9
    assert "it was right" in reasons(registry)


def test_undo_of_a_roll_back_asks_too() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "B", "enter")
        await desk.type("credit-risk drifts")
        await desk.press("enter", "U", "enter")
        assert target(registry) == 8
        assert "UNDO ON PROD" in desk.text
        await desk.type("credit-risk")
        await desk.press("enter")

    on(registry, act)
    assert target(registry) == 9
    assert "drifts" in reasons(registry)


def test_undo_of_the_first_move_of_production_asks_before_it_names_nothing() -> None:
    registry = filled_registry()
    unset(registry.session(), RISK, PRODUCTION)

    async def act(desk: Desk) -> None:
        await desk.press(*SERVING, "P")
        await desk.type("production")
        await desk.press("enter")
        await desk.type("credit-risk")
        await desk.press("enter", "U", "enter")
        assert target(registry) == 9
        assert "v9 -> nothing" in desk.text
        await desk.type("credit-risk")
        await desk.press("enter")
        assert "names nothing again" in desk.notice

    on(registry, act)
    assert target(registry) is None


def test_undo_of_a_protected_alias_of_another_name_asks_too() -> None:
    registry = filled_registry()
    protected = 'approvals_required = 1\nprotected_aliases = ["staging"]\n'
    registry.decide(11, Action.APPROVE)
    set_policy(registry.session(), RISK, parse_policy_toml(protected, what="p"))

    async def act(desk: Desk) -> None:
        await desk.press(*SERVING, "P")
        await desk.type("staging")
        await desk.press("enter")
        await desk.type("credit-risk")
        await desk.press("enter", "U", "enter")
        assert target(registry, STAGING) == 9
        assert "UNDO ON PROD" in desk.text

    on(registry, act)


def test_a_reason_may_follow_an_alias_that_is_not_protected_too() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "P")
        await desk.type("staging to try it")
        await desk.press("enter")
        last = next(entry for entry in desk.app.log_of_commands.newest_first() if entry.writes)
        assert last.line.endswith("credit-risk:12 staging --reason 'to try it'")

    on(registry, act)
    assert target(registry, STAGING) == 12
    assert "to try it" in reasons(registry)


def test_the_reason_of_a_deletion_and_of_a_retirement_is_recorded() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "G", "D")
        await desk.type("credit-risk never used")
        await desk.press("enter", "T")
        await desk.type("too old")
        await desk.press("enter", "U")
        assert "take credit-risk:2 out of retirement, reason (may be empty):" in desk.notice
        await desk.type("not so old")
        await desk.press("enter")

    on(registry, act)
    assert {"never used", "too old", "not so old"} <= set(reasons(registry))


def test_who_is_no_reviewer_is_told_before_a_word_is_typed() -> None:
    registry = filled_registry()
    set_policy(registry.session(), RISK, parse_policy_toml('reviewers = ["rev1@example.org"]', what="p"))

    async def act(desk: Desk) -> None:
        for key, verb in (("A", "approve"), ("X", "reject")):
            await desk.press(*(VERSIONS if key == "A" else ()), key)
            assert f"{verb.upper()} credit-risk:12" in desk.text
            assert "REFUSED: ops is not among the policy's reviewers" in desk.notice
            await desk.type("Quite so")  # goes into the prompt: no key of it does anything
            await desk.press("enter")
            assert "REFUSED: esc closes" in desk.notice
            await desk.press("escape")
        await desk.press("C")
        assert desk.app.asking.has_question

    on(registry, act)


def test_the_author_is_told_before_a_word_is_typed() -> None:
    registry = filled_registry()
    set_policy(registry.session(), RISK, parse_policy_toml("separate_duties = true", what="p"))

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "A")
        assert "REFUSED: ci-2@example.org published version 12 and cannot approve it (separate_duties)" in desk.notice

    on(registry, act, session=registry.session(TRAINER))


def test_failing_gates_are_told_before_an_approval_is_typed_and_before_an_alias_is() -> None:
    registry = filled_registry()
    policy = 'protected_aliases = ["production"]\n[[gate]]\nmetric = "auc"\nat_least = 0.95\n'
    set_policy(registry.session(), RISK, parse_policy_toml(policy, what="p"))

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "A")
        assert "1 of 1 gates failed: auc" in desk.notice
        await desk.press("enter")
        assert "REFUSED: esc closes" in desk.notice
        await desk.press("escape", "P")
        assert "REFUSED: version 12 cannot be promoted, 1 of 1 gates failed" in " ".join(desk.text.split())
        await desk.type("production")
        await desk.press("enter")
        await desk.type("credit-risk")
        await desk.press("enter")
        assert "REFUSED: esc closes" in desk.notice

    on(registry, act)
    assert target(registry) == 9


def test_missing_approvals_are_told_before_an_alias_is_typed() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "P")
        said = " ".join(desk.text.replace("|", " ").split())
        assert "production names v9 REFUSED: credit-risk@production is protected and version 12 has 0 of 1" in said
        assert "staging names v11" in said

    on(registry, act)


def test_what_an_alias_names_is_not_asked_to_be_deleted() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*SERVING, "D")
        assert "delete: not now, credit-risk@production names version 9" in desk.notice
        await desk.press("escape")
        # Nobody here has seen the bucket since: then it is asked before the name is typed.
        await desk.press(*VERSIONS)
        promote(registry.session(EVE), RISK, 1, AliasName("canary"))
        await desk.press("G", "D")
        assert "REFUSED: credit-risk@canary names version 1" in desk.notice
        await desk.type("credit-risk")
        await desk.press("enter")
        assert "REFUSED: esc closes" in desk.notice

    on(registry, act)


def test_what_state_forbids_is_told_by_the_key_itself() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "j", "j", "A")  # v10 was rejected
        assert "approve: not now, version 10 is rejected" in desk.notice
        await desk.press("P")
        assert "promote: not now, version 10 is rejected" in desk.notice
        await desk.press("R")
        assert "request a review: not now, version 10 is rejected" in desk.notice

    on(registry, act)


def test_a_model_without_aliases_has_nothing_to_roll_back() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press("g", "enter", "B")
        assert f"REFUSED: no alias of {CHAT} ever named a version" in desk.notice

    on(registry, act)


@pytest.mark.parametrize(("key", "typed"), [("T", "too old"), ("D", "credit-risk unused"), ("X", "drifts")])
def test_what_was_typed_survives_that_another_was_quicker(key: str, typed: str) -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "G", key)
        await desk.type(typed)
        registry.decide(1, Action.REQUEST, by=EVE)
        await desk.press("enter")
        assert "CHANGED MEANWHILE: credit-risk:1 is in review now, not" in desk.notice
        assert f": {typed}" in desk.lines[-2]
        await desk.press("enter")

    on(registry, act)
    row = load_existing_head(registry.session(), RISK).find_row(1)
    assert row is not None
    assert row.state.value == {"T": "retired", "D": "deleted", "X": "rejected"}[key]


def test_a_version_that_another_retired_meanwhile_says_so_in_the_open_panel() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "j", "j", "j", "j", "P")
        await desk.type("production")
        await desk.press("enter")
        await desk.type("credit-risk because")
        retire(registry.session(EVE), RISK, 8)
        await desk.press("enter")
        assert "CHANGED MEANWHILE: credit-risk:8 is retired now, not approved as shown: retire by eve" in desk.notice
        assert "credit-risk because" in desk.lines[-2]
        assert "REFUSED: version 8 is retired" in desk.text

    on(registry, act)
    assert target(registry) == 9
