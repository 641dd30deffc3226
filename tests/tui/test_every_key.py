"""Is every key of every screen followed by something that is seen, and by a question before it touches production?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from bucketry.errors import UnavailableError
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.registry.serving.known_aliases import load_aliases
from bucketry.registry.versions.deletion import delete_version
from bucketry.schema import keys
from bucketry.store.contract import Unconditional
from bucketry.tui.screens.opening import every_screen
from tui.desk import PRODUCTION, RISK, ROUND_SECONDS, Wire, empty_registry, filled_registry, open_desk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from _pytest.mark import ParameterSet

    from bucketry.store.contract import Store
    from tui.desk import Desk, Registry

pytestmark = pytest.mark.usefixtures("no_agent")

SCREENS: dict[str, tuple[tuple[str, ...], str]] = {
    "models": ((), ""),
    "versions": (("G", "enter"), ""),
    "version": (("G", "enter", "j", "j", "j", "enter"), ""),
    "compare": (("G", "enter", "equals_sign"), ""),
    "review": ((), "r"),
    "transfers": (("t",), ""),
    "deployments": ((), "d"),
    "health": ((), "doctor"),
    "audit": ((), "audit"),
    "log": (("at",), ""),
    "help": (("question_mark",), ""),
}
LEAVES = frozenset({"q", "ctrl+c", "ctrl+q"})
"""They end the program; tests of their own press them."""
NAMES = {
    " ": "space",
    ":": "colon",
    "/": "slash",
    "-": "minus",
    "@": "at",
    "=": "equals_sign",
    "+": "plus",
    ">": "greater_than_sign",
    "<": "less_than_sign",
    "?": "question_mark",
    "*": "asterisk",
    ".": "full_stop",
    "[": "left_square_bracket",
    "]": "right_square_bracket",
}
WRITES = "AXCRPBETDU"


def deep(*screens: str) -> list[ParameterSet]:
    """Return screens on which keys are pressed in depth alone: their commands are those of the others."""
    return [pytest.param(screen, marks=pytest.mark.deep) for screen in screens]


def on(registry: Registry, act: Callable[[Desk], Awaitable[None]], **how: object) -> None:
    async def run() -> None:
        async with open_desk(registry, **how) as desk:  # type: ignore[arg-type]
            await act(desk)

    asyncio.run(run())


def keys_here(desk: Desk) -> set[str]:
    return {key for command in desk.app.commands for key in desk.app.settings.keymap.keys_of(command)} - LEAVES


def keys_elsewhere(desk: Desk) -> set[str]:
    """Return each key that something has elsewhere alone, and some that nothing has."""
    elsewhere = [key for screen in every_screen() for command in screen.COMMANDS for key in command.keys]
    return {*elsewhere, "n", "Z", "%"} - LEAVES - keys_here(desk)


async def go(desk: Desk, screen: str) -> None:
    keys, typed = SCREENS[screen]
    await desk.press(*keys)
    if typed:
        await desk.press("colon")
        await desk.type(typed)
        await desk.press("enter")


async def press_each(desk: Desk, pressed: Callable[[Desk], set[str]]) -> list[str]:
    """Press keys, each on the screen as it was; return those that were followed by nothing that can be seen.

    What is seen at once is not waited for any longer: only a key that seems to do nothing is given its time.
    """
    app, silent = desk.app, []
    view, depth = app.view, app.depth
    app.flash("")
    await desk.settle()
    for key in sorted(pressed(desk)):
        before = desk.text
        await desk.press_only(NAMES.get(key, key))
        if desk.text == before and app.view is view:
            await desk.settle()
            if desk.text == before and app.view is view:
                silent.append(key)
        rests = app.background.is_idle and app.view is view and not app.asking.has_question
        if app.asking.has_question:
            app.asking.cancel()
        app.asking.take_key("escape")
        app.write_lock = False
        while app.depth > depth:
            app.back()
        if app.depth < depth:
            app.reopen_last()
        app.flash("")
        await (desk.wait(ROUND_SECONDS) if rests else desk.settle())
        assert app.view is view, key
    return silent


@pytest.mark.parametrize("screen", SCREENS)
def test_each_key_is_followed_by_something_that_is_seen(screen: str) -> None:
    async def act(desk: Desk) -> None:
        await go(desk, screen)
        assert await press_each(desk, keys_here) == []

    on(filled_registry(), act)


@pytest.mark.parametrize("screen", ["models", *deep("version", "compare", "help")])
def test_so_is_each_key_that_belongs_elsewhere_or_nowhere(screen: str) -> None:
    """One place answers them for all screens."""

    async def act(desk: Desk) -> None:
        await go(desk, screen)
        assert await press_each(desk, keys_elsewhere) == []

    on(filled_registry(), act)


@pytest.mark.parametrize("screen", ["models", "review", *deep("deployments", "audit")])
def test_so_it_is_on_a_screen_without_a_row(screen: str) -> None:
    async def act(desk: Desk) -> None:
        await go(desk, screen)
        assert await press_each(desk, keys_here) == []

    on(empty_registry(), act)


@pytest.mark.parametrize("screen", ["versions", *deep("version", "compare")])
def test_so_it_is_where_nothing_may_be_written_and_nothing_is(screen: str) -> None:
    registry = filled_registry()
    before = load_existing_head(registry.session(), RISK).generation

    async def act(desk: Desk) -> None:
        await go(desk, screen)
        assert await press_each(desk, keys_here) == []

    on(registry, act, read_only=True)
    assert load_existing_head(registry.session(), RISK).generation == before


@pytest.mark.parametrize("what", ["deleted", "damaged", "offline"])
def test_so_it_is_on_a_row_that_is_deleted_or_damaged_and_while_the_bucket_is_away(what: str) -> None:
    registry = filled_registry()
    session, wire = registry.session(), Wire(registry.store)
    if what == "damaged":
        key = keys.manifest(RISK, load_existing_head(session, RISK).rows[11].manifest)
        registry.store.put(key, b"{", Unconditional())
    registry.store = cast("Store", wire)

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "g", "enter", "h")  # what was opened is known to be damaged
        if what == "deleted":
            delete_version(session, RISK, 12)  # by somebody else: the row is still there
        if what == "offline":
            wire.fault = UnavailableError("the bucket does not answer")
            await desk.press("r")
        told = {"deleted": "v12", "damaged": "DAMAGED", "offline": "OFFLINE"}[what]
        assert told in (desk.top if what == "offline" else desk.cursor_line)
        assert await press_each(desk, keys_here) == []

    on(registry, act)


@pytest.mark.parametrize("screen", ["versions", *deep("models", "version", "compare")])
def test_no_key_alone_touches_what_production_names(screen: str) -> None:
    registry = filled_registry()
    session = registry.session()

    def served() -> object:
        head = load_existing_head(session, RISK)
        named = {register.alias: register.target for register in load_aliases(session, head)}
        return named[PRODUCTION], load_row(session, head, 9).state

    before = served()

    async def act(desk: Desk) -> None:
        if screen == "versions":
            await desk.press("G", "enter", "j", "j", "j")  # on what production names
        else:
            await go(desk, screen)
        for key in WRITES:
            await desk.press(key, "enter", "y", "enter", "enter")
            assert served() == before, key
            await desk.press("escape", *(("escape",) if desk.app.asking.has_question else ()))
            while desk.app.asking.has_question:
                await desk.press("escape")
            if desk.app.depth < {"models": 1, "versions": 2, "version": 3, "compare": 3}[screen]:
                desk.app.reopen_last()
                await desk.settle()

    on(registry, act)


def test_a_write_while_the_bucket_is_away_says_so_at_once_and_asks_nothing() -> None:
    registry = filled_registry()
    wire = Wire(registry.store)
    registry.store = cast("Store", wire)

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter")
        wire.fault = UnavailableError("the bucket does not answer")
        await desk.press("r")
        assert "OFFLINE" in desk.top
        for key in "AXCRPBTE":
            await desk.press(key)
            assert "not now, the bucket is offline (the bucket does not answer)" in desk.notice, key
            assert not desk.app.asking.has_question
        wire.fault = None
        await desk.press("A")  # it is tried again behind the key that says so
        await desk.press("A")
        assert desk.app.asking.has_question

    on(registry, act)


def test_what_was_typed_is_kept_when_the_line_is_cut_meanwhile() -> None:
    registry = filled_registry()
    wire = Wire(registry.store)
    registry.store = cast("Store", wire)

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "C")
        await desk.type("drifts")
        wire.fault = UnavailableError("the bucket does not answer")
        await desk.press("enter")
        assert "the bucket does not answer" in desk.notice
        wire.fault = None
        await desk.press("r", "C")
        assert "comment on credit-risk:12: drifts" in desk.text

    on(registry, act)


def test_a_key_of_another_screen_says_where_it_belongs() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("A")
        said = "A approve: not here, it is for the versions of a model (enter on a model) and 3 other screens"
        assert said in desk.notice
        await desk.press("b")
        said = "b make the next version the baseline: not here, it is for a comparison (= on versions)"
        assert said in desk.notice
        await desk.press("n")
        assert "n does nothing here (? lists the keys)" in desk.notice
        await desk.press("escape")
        assert "this is the first screen (q leaves)" in desk.notice

    on(filled_registry(), act)


def test_at_the_end_of_a_list_the_key_says_that_it_is_the_end() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "G", "j")
        assert "this is the end" in desk.notice
        await desk.press("g", "k")
        assert "this is the beginning" in desk.notice

    on(filled_registry(), act)
