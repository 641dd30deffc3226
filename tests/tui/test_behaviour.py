"""Do the keys do what they say, and does nothing else?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from textual import events

from bucketry.registry.core.registers import load_alias, load_existing_head
from bucketry.registry.core.rows import load_dossier, load_row
from bucketry.registry.serving.alias_history import load_alias_history
from bucketry.registry.serving.aliases import promote
from bucketry.registry.serving.auditing import load_audit
from bucketry.schema.documents.reviews import Action
from bucketry.tui.shell.commands import Keymap
from bucketry.tui.shell.settings import Settings
from tui.desk import CHAT, PRODUCTION, RISK, STAGING, Registry, Wire, filled_registry, open_desk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bucketry.errors import UnavailableError
    from bucketry.schema.names import AliasName
    from bucketry.store.contract import Store
    from tui.desk import Desk

VERSIONS = ("G", "enter")
pytestmark = pytest.mark.usefixtures("no_agent")


def on(registry: Registry, act: Callable[[Desk], Awaitable[None]], **how: object) -> None:
    async def run() -> None:
        async with open_desk(registry, **how) as desk:  # type: ignore[arg-type]
            await act(desk)

    asyncio.run(run())


def target(registry: Registry, alias: AliasName) -> int | None:
    register = load_alias(registry.session(), RISK, alias).state
    return register.target.version if register is not None and register.target is not None else None


def state(registry: Registry, version: int) -> str:
    session = registry.session()
    return load_row(session, load_existing_head(session, RISK), version).state.value


def test_the_cursor_stays_on_its_version_when_another_is_published() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "j", "j")
        assert "v10" in desk.cursor_line
        registry.publish(RISK, 13)
        await desk.press("r")
        assert "v13" in desk.text
        assert "v10" in desk.cursor_line

    on(registry, act)


def test_a_filter_is_live_and_escape_clears_it() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "slash")
        await desk.type("state:approved")
        assert " 2/12" in desk.top
        await desk.press("enter")
        assert "filter: state:approved" in desk.notice
        await desk.press("escape")
        assert "12/12" in desk.top

    on(filled_registry(), act)


def test_a_wrong_filter_says_where_it_is_wrong_and_keeps_the_rows() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "slash")
        desk.app.post_message(events.Paste("auc>x"))
        await desk.settle()
        assert "not a filter yet" in desk.notice
        await desk.press("enter")
        assert '"x" is not a number' in desk.notice
        assert "v12" in desk.text

    on(filled_registry(), act)


def test_a_list_is_sorted_by_a_metric_and_flipped() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "g", *["greater_than_sign"] * 4, "s", "s")
        assert "[AUC^]" in desk.text
        first = next(line for line in desk.lines[2:] if line.strip())
        assert "v1 " in first

    on(filled_registry(), act)


def test_a_version_is_approved_by_one_line_and_the_log_has_the_same_command() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "A")
        await desk.type("looks good")
        await desk.press("enter")
        assert "credit-risk:12 is approved now (1 of 1 approval)" in desk.notice
        await desk.press("at", "slash")
        await desk.type("approve")
        await desk.press("enter", "enter")
        assert "bucketry review approve credit-risk:12 --comment 'looks good'" in desk.notice

    on(registry, act)
    assert state(registry, 12) == "approved"


def test_a_list_that_had_less_room_shows_one_cursor_and_every_row_once() -> None:
    registry = filled_registry()
    for version in range(13, 20):
        registry.publish(RISK, version)

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "G", "P")
        await desk.type("production")
        await desk.press("enter")
        assert ">  v1 " in desk.text
        await desk.press("escape", "k", "k")
        assert [line.split()[1] for line in desk.lines if line.startswith(">")] == ["v3"]
        assert len([line for line in desk.lines if " ci-2@ex" in line]) == 19
        await desk.resize(80, 15)
        await desk.resize(80, 24)
        assert [line.split()[1] for line in desk.lines if line.startswith(">")] == ["v3"]
        assert len([line for line in desk.lines if " ci-2@ex" in line]) == 19

    on(registry, act)


def test_nothing_is_done_on_screens_that_are_too_small_to_be_seen() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "C")
        await desk.resize(59, 24)
        assert "59x24; q leaves" in desk.text
        desk.app.post_message(events.Paste("blind"))
        await desk.press(*"blind", "enter", "escape", "T", "j")
        await desk.resize(80, 24)
        assert "comment" in desk.notice
        assert "blind" not in desk.text
        await desk.press("escape")
        assert "v12" in desk.cursor_line
        await desk.resize(59, 24)
        await desk.press("q")
        assert not desk.app.is_running or desk.app._exit  # noqa: SLF001 - the toolkit has no other way

    on(registry, act)
    assert state(registry, 12) == "in_review"


def test_several_pasted_lines_become_one() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "C", "x", "space")
        desk.app.post_message(events.Paste("first line \n\n  second line\r\nthird\n"))
        await desk.settle()
        assert "x first line second line third" in desk.text

    on(registry, act)


def test_a_rejection_needs_a_reason() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "X", "enter")
        assert "a text is needed" in desk.notice
        await desk.type("drifts")
        await desk.press("enter")
        assert "credit-risk:12 is rejected now" in desk.notice

    on(registry, act)
    assert state(registry, 12) == "rejected"


def test_a_protected_alias_moves_only_after_the_models_name_was_typed() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "j", "j", "j", "j", "P")
        assert "v8" in desk.cursor_line
        await desk.type("prod")
        await desk.press("tab", "enter")
        assert "PROMOTE TO PROD" in desk.text
        assert "now v9" in desk.text
        await desk.type("credit-ris")
        await desk.press("enter")
        assert target(registry, PRODUCTION) == 9
        await desk.type("k")
        await desk.press("enter")
        assert "credit-risk@production: v9 -> v8" in desk.notice

    on(registry, act)
    assert target(registry, PRODUCTION) == 8


def test_an_alias_that_is_not_protected_moves_at_once_and_back_by_undo() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "P")
        await desk.type("staging")
        await desk.press("enter")
        assert target(registry, STAGING) == 12
        await desk.press("U")
        assert "undo: staging v12 -> v11, reason (may be empty):" in desk.notice
        assert target(registry, STAGING) == 12
        await desk.type("too early")
        await desk.press("enter")
        assert "undone: credit-risk@staging names v11 again" in desk.notice
        await desk.press("U")
        assert "there is nothing to undo" in desk.notice

    on(registry, act)
    assert target(registry, STAGING) == 11
    [newest, undone, *_] = load_alias_history(registry.session(), RISK, STAGING)
    assert (newest.action, newest.undoes) == ("undo", undone.generation)


def test_a_roll_back_asks_for_the_name_and_goes_to_the_version_before() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "B", "enter")
        assert "ROLL BACK PROD" in desk.text
        await desk.type("credit-risk")
        await desk.press("enter")
        assert "production: v9 -> v8" in desk.notice

    on(registry, act)
    assert target(registry, PRODUCTION) == 8


def test_what_was_moved_by_another_since_it_was_shown_is_not_moved_again() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "j", "j", "j", "j", "P")
        await desk.type("production")
        await desk.press("enter")
        await desk.type("credit-risk")
        promote(registry.session("eve@example.org"), RISK, 8, PRODUCTION)
        promote(registry.session("eve@example.org"), RISK, 9, PRODUCTION)
        promote(registry.session("eve@example.org"), RISK, 8, PRODUCTION)
        await desk.press("enter")
        assert "names v8 now, not v9 as shown: promote by eve@example.org" in desk.notice

    on(registry, act)


def test_a_version_that_was_decided_about_meanwhile_is_shown_anew_first() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "A")
        registry.decide(12, Action.REJECT, comment="no")
        await desk.press("enter")
        assert "is rejected now, not in review as shown: reject by rev1@example.org" in desk.notice
        assert "x rejected" in desk.cursor_line

    on(registry, act)


def test_a_version_is_deleted_only_by_its_models_name() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "G", "D")
        await desk.type("credit-risk")
        await desk.press("enter")
        assert "credit-risk:1 is deleted" in desk.notice
        assert "11/11" in desk.top

    on(registry, act)
    session = registry.session()
    assert load_existing_head(session, RISK).find_row(1) is not None


def test_labels_are_set_and_taken_back() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "j", "E", "l")
        await desk.type("tier=gold")
        await desk.press("enter")
        assert "changed the labels" in desk.notice
        await desk.press("U")

    on(registry, act)
    session = registry.session()
    assert load_row(session, load_existing_head(session, RISK), 11).labels == {}


def test_notes_are_replaced() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "E", "n", "ctrl+u")
        await desk.type("fine")
        await desk.press("enter")

    on(registry, act)
    session = registry.session()
    head = load_existing_head(session, RISK)
    assert load_dossier(session, head, load_row(session, head, 12)).notes == "fine"


def test_a_version_is_retired_and_taken_out_of_retirement() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "G", "T")
        assert "retire credit-risk:1, reason (may be empty):" in desk.notice
        await desk.press("enter")
        assert "credit-risk:1 is retired now" in desk.notice
        await desk.press("P")
        assert "version 1 is retired" in desk.notice
        await desk.press("T", "enter")
        assert "credit-risk:1 is registered now" in desk.notice

    on(registry, act)


@pytest.mark.parametrize("key", list("AXCRPBETD"))
def test_a_key_that_writes_does_nothing_but_say_why_when_nothing_may_be_changed(key: str) -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "G", key)
        assert "not now, these screens were opened with --read-only" in desk.notice
        await desk.press("W")
        assert "--read-only cannot be lifted" in desk.notice

    on(registry, act, read_only=True)


def test_the_write_lock_holds_until_it_is_taken_off() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("W")
        assert desk.top.endswith("ops ro")
        await desk.press(*VERSIONS, "A")
        assert "the write lock is on" in desk.notice
        await desk.press("W")
        assert desk.top.endswith("ops rw")

    on(filled_registry(), act)


def test_the_cursor_moves_while_the_bucket_hangs() -> None:
    registry = filled_registry()
    wire = Wire(registry.store)
    registry.store = cast("Store", wire)

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS)
        wire.open.clear()
        await desk.press_only("r", "j", "j")
        assert "v10" in desk.cursor_line
        wire.open.set()

    on(registry, act)


def test_back_escape_and_quit_lead_back_and_minus_leads_forth() -> None:
    async def act(desk: Desk) -> None:
        for key in ("h", "left", "backspace", "escape", "q"):
            await desk.press("enter")
            assert "versions" in desk.top
            await desk.press(key)
            assert "> models" in desk.top
        await desk.press("h")
        assert "this is the first screen" in desk.notice
        await desk.press("minus")
        assert "versions" in desk.top

    on(filled_registry(), act)


def test_a_command_is_typed_completed_and_found_by_its_words() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("colon")
        await desk.type("v credit-risk")
        await desk.press("enter")
        assert "credit-risk > versions" in desk.top
        await desk.press("colon")
        await desk.type("pal")
        await desk.press("tab", "enter")
        await desk.type("write lock")
        await desk.press("enter")
        assert "write lock on" in desk.notice
        await desk.press("colon")
        await desk.type("nonsense")
        await desk.press("enter")
        assert 'there is no command "nonsense"' in desk.notice

    on(filled_registry(), act)


def test_keys_can_be_given_to_other_commands() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("G", "x")
        assert "versions" in desk.top
        await desk.press("h", "enter")
        assert "> models" in desk.top

    on(filled_registry(), act, settings=Settings(keymap=Keymap({"open": ("x",)})))


def test_a_pasted_text_is_no_keys() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS)
        desk.app.post_message(events.Paste("DAX\n"))
        await desk.settle()
        assert "12/12" in desk.top
        await desk.press("slash")
        desk.app.post_message(events.Paste("state:approved\nD"))
        await desk.settle()
        assert " 2/12" in desk.top

    on(registry, act)


def test_a_fault_behind_the_screens_is_said_and_does_not_end_them() -> None:
    registry = filled_registry()
    wire = Wire(registry.store)
    registry.store = cast("Store", wire)

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS)
        wire.fault = cast("UnavailableError", ZeroDivisionError("oops"))
        await desk.press("enter")
        assert "a fault of the program: ZeroDivisionError: oops" in desk.text
        wire.fault = None
        await desk.press("r", "r")
        assert "digest" in desk.text

    on(registry, act)


def test_a_whole_model_is_deleted_from_the_list_of_models_after_its_name_is_typed() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press("D")
        assert "DELETE A MODEL" in desk.text
        assert "acme/chat will be deleted for ever, with 1 version." in desk.text
        await desk.type("acme/cha")
        await desk.press("enter")
        assert "name differs" in desk.text
        await desk.type("t never served")
        await desk.press("enter")
        assert "acme/chat is deleted, with 1 version" in desk.notice
        await desk.press("g", "g")
        assert "acme/chat" not in "\n".join(desk.lines[1:-3])
        await desk.press("G", "D")
        assert "names v9" in desk.notice  # production keeps this one

    on(registry, act)
    last = load_audit(registry.session(), CHAT).entries[-1].record
    assert (last.action, last.detail["reason"]) == ("delete-model", "never served")
