"""Do the last line, the help and the palette name the keys that work now, and those alone?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from bucketry.errors import UnavailableError
from bucketry.registry.review.policies import set_policy
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action
from tui.desk import CHAT, RISK, TRAINER, Wire, empty_registry, filled_registry, open_desk
from tui.estate import estate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bucketry.store.contract import Store
    from tui.desk import Desk, Registry

VERSIONS = ("G", "enter")
WIDE = (140, 40)
COMMANDS_OF_VERSIONS = ("approve", "reject", "promote", "rollback", "compare", "filter", "columns", "card", "yank")


def on(registry: Registry, act: Callable[[Desk], Awaitable[None]], **how: object) -> None:
    async def run() -> None:
        async with open_desk(registry, **how) as desk:  # type: ignore[arg-type]
            await act(desk)

    asyncio.run(run())


def test_while_a_text_is_typed_the_hints_are_those_of_the_prompt() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("slash")
        assert desk.lines[-1].split("  ") == [" enter keep", "up/down choose", "esc cancel"]
        await desk.press("escape", "colon")
        assert desk.lines[-1].split("  ") == [" enter confirm", "tab complete", "esc cancel"]
        await desk.press("escape")
        assert desk.lines[-1].startswith(" / filter  enter open")

    on(filled_registry(), act)


def test_a_list_without_rows_hints_at_no_key_for_a_row() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "slash")
        await desk.type("nothing-has-this")
        await desk.press("enter")
        assert desk.lines[-1] == " / filter  : command  ? all"
        await desk.press("escape")
        assert "A approve" in desk.lines[-1]

    on(filled_registry(), act)


def test_who_may_not_write_is_not_told_the_keys_that_write() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS)
        assert "A approve" not in desk.lines[-1]
        assert "d get" in desk.lines[-1]

    on(filled_registry(), act, read_only=True)


def test_the_write_lock_takes_the_keys_that_write_out_of_the_hints() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS)
        assert "P promote" in desk.lines[-1]
        await desk.press("W")
        assert "P promote" not in desk.lines[-1]

    on(filled_registry(), act)


def test_the_key_that_opens_the_help_closes_it() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("question_mark")
        assert "all keys" in desk.top
        assert desk.lines[-1].endswith("? close")
        await desk.press("question_mark")
        assert "models" in desk.top

    on(filled_registry(), act)


@pytest.mark.parametrize("size", [(80, 24), WIDE], ids=["narrow", "wide"])
def test_the_help_lists_every_command_with_its_keys_and_cuts_no_word(size: tuple[int, int]) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS)
        titles = [command.title for command in desk.app.commands]
        await desk.press("question_mark")
        text = ""
        for _ in range(12):
            assert "~" not in desk.text.replace("~ other alias", "")
            text += desk.text
            await desk.press("pagedown")
        words = text.split()
        assert all(word in words for title in titles for word in title.split())
        assert all(f" {name} " in text for name in COMMANDS_OF_VERSIONS)
        assert ":m " in text  # what has no key is typed

    on(filled_registry(), act, size=size)


def test_the_palette_does_the_chosen_command_at_once() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "ctrl+p")
        await desk.type("column")
        assert desk.cursor_line.startswith(">  Choose the next column")
        await desk.press("down", "down", "down")
        assert desk.cursor_line.startswith(">  Choose which columns")
        await desk.press("enter")
        assert "COLUMNS" in desk.text

    on(filled_registry(), act)


def test_the_palette_does_what_was_typed_and_not_what_it_still_shows() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "ctrl+p")
        desk.app.view.reload = lambda: None  # type: ignore[attr-defined]  # the list is slower than who types
        await desk.type("lock")
        assert desk.cursor_line.startswith(">  Filter the rows")
        await desk.press("enter")
        assert "write lock on" in desk.notice

    on(filled_registry(), act)


def test_one_escape_leaves_the_palette_and_a_word_without_a_command_says_so() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "ctrl+p")
        await desk.type("zzz")
        assert "No command has these words." in desk.text
        await desk.press("enter")
        assert "commands" in desk.top
        await desk.press("escape")
        assert "credit-risk > versions" in desk.top

    on(filled_registry(), act)


@pytest.mark.parametrize("rests_between", [True, False])
def test_a_filter_that_is_none_says_how_to_clear_it_and_says_it_once(*, rests_between: bool) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "slash")
        for typed in "auc>x" if rests_between else ["auc>x"]:  # no row fits "a"; without it, the rows stay
            await desk.type(typed)
        await desk.press("enter")
        assert desk.text.count("is not a number") == 1
        assert "esc clears the filter" in desk.text
        assert "r tries again" not in desk.text

    on(filled_registry(), act)


def test_the_panel_beside_the_list_follows_what_becomes_of_the_version() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS)
        await desk.wait(0.3)
        assert "state       in review" in desk.text
        await desk.press("A", "enter")
        await desk.wait(0.3)
        await desk.settle()
        assert "state       approved" in desk.text

    on(registry, act, size=WIDE)


def test_the_panel_says_why_it_is_empty() -> None:
    registry = filled_registry()
    wire = registry.store = cast("Store", Wire(registry.store))

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS)
        wire.fault = UnavailableError("the bucket does not answer")  # type: ignore[attr-defined]
        await desk.press("j")
        await desk.wait(0.3)
        await desk.settle()
        assert "| the bucket does not answer" in desk.text

    on(registry, act, size=WIDE)


def test_a_version_that_takes_its_time_is_being_read() -> None:
    registry = filled_registry()
    wire = registry.store = cast("Store", Wire(registry.store))

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS)
        wire.open.clear()  # type: ignore[attr-defined]
        await desk.press_only("enter")
        await desk.wait_for("Reading credit-risk:12 ...")
        wire.open.set()  # type: ignore[attr-defined]
        await desk.settle()

    on(registry, act)


def test_the_overview_stands_beside_production_and_says_which_checks_hold() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "enter")
        assert "v9     v12    DELTA" in desk.text
        assert "CHECKS v12" in desk.text

    on(filled_registry(), act)


def test_an_overview_is_shown_although_production_cannot_be_read() -> None:
    registry = filled_registry()
    session = registry.session()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "enter")
        assert "not compared with production" in desk.text
        assert "state       in review" in desk.text

    from bucketry.registry.core.registers import load_existing_head  # noqa: PLC0415 - of this test alone
    from bucketry.registry.core.rows import load_row  # noqa: PLC0415 - of this test alone
    from bucketry.schema import keys  # noqa: PLC0415 - of this test alone
    from bucketry.store.contract import Unconditional  # noqa: PLC0415 - of this test alone

    row = load_row(session, load_existing_head(session, RISK), 9)
    registry.store.put(keys.manifest(RISK, row.manifest), b"{}", Unconditional())
    on(registry, act)


def test_only_decisions_that_a_policy_may_want_signed_are_said_to_be_unsigned() -> None:
    registry = filled_registry()
    registry.decide(12, Action.APPROVE)

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "enter", "6")
        rows = {line.split()[0]: line for line in desk.lines if line.strip().startswith(("request", "approve"))}
        assert " NO " in rows["approve"]
        assert " NO " not in rows["request"]

    on(registry, act)


def test_who_may_not_decide_about_a_version_is_told_why() -> None:
    registry = estate()
    set_policy(registry.session(), CHAT, parse_policy_toml('approvals_required = 2\nreviewers = ["lea"]', what="p"))

    async def author(desk: Desk) -> None:
        await open_queue(desk)
        assert "You made it; others decide about it." in desk.text

    async def other(desk: Desk) -> None:
        await open_queue(desk)
        await desk.press("slash")
        await desk.type("chat")
        await desk.press("enter")
        await desk.wait(0.3)
        assert "It is not yours to decide: the policy names others." in desk.text

    async def open_queue(desk: Desk) -> None:
        await desk.press("colon", "r", "enter")
        await desk.wait(0.3)
        await desk.settle()

    on(registry, other, session=registry.session("ops"))
    strict = 'approvals_required = 2\nseparate_duties = true\nprotected_aliases = ["production"]'
    set_policy(registry.session(), RISK, parse_policy_toml(strict, what="p"))
    on(registry, author, session=registry.session(TRAINER))


def test_an_empty_registry_is_said_to_be_empty_as_soon_as_it_was_read() -> None:
    async def act(desk: Desk) -> None:
        assert "This registry has no models yet." in desk.text

    on(empty_registry(), act)
