"""Is every wrong entry of `[tui.keys]` said, once, and does it keep nobody from the screens?"""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import UsageError
from bucketry.tui import screens
from bucketry.tui.drawing.chooser import CHOOSING
from bucketry.tui.screens.opening import every_screen
from bucketry.tui.shell.commands import COMMAND_NAMES, WRITING, Command, KeyFaults, Keymap, parse_keymap
from bucketry.tui.shell.everywhere import EVERYWHERE
from bucketry.tui.shell.settings import Settings
from bucketry.tui.shell.view import View
from tui.desk import filled_registry
from tui.evaluated import on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.desk import Desk

CONFIG = "config.toml: tui.keys"


def settings(**keys: object) -> Settings:
    return Settings(time="utc", keymap=parse_keymap(keys, where=CONFIG))


def every_command() -> Iterator[Command[Any]]:
    for screen in every_screen():
        yield from screen.COMMANDS
    yield from EVERYWHERE
    yield from CHOOSING


def test_every_screen_is_known_to_whoever_presses_its_keys_elsewhere() -> None:
    for found in walk_packages(screens.__path__, f"{screens.__name__}."):
        import_module(found.name)
    views: list[type[View]] = [View]
    for view in views:
        views += view.__subclasses__()
    assert {view for view in views if view.COMMANDS} == set(every_screen())
    assert all(screen.CALLED for screen in every_screen())


def test_the_list_of_names_has_each_command_of_the_screens_and_no_other() -> None:
    assert {command.name for command in every_command()} == COMMAND_NAMES


def test_what_changes_the_registry_says_so_and_has_capital_letters_alone() -> None:
    writing = [command for command in every_command() if command.writes]
    assert {command.name for command in writing} == WRITING
    assert all(len(key) == 1 and key.isupper() for command in writing for key in command.keys)


@pytest.mark.parametrize("way", [(), ("G", "enter"), ("G", "enter", "enter"), ("G", "enter", "equals_sign"), ("t",)])
def test_no_key_makes_a_command_or_a_function_of_one(way: tuple[str, ...]) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*way)
        before = desk.app.commands
        await desk.press("j", "k")
        assert all(now is then for now, then in zip(desk.app.commands, before, strict=True))

    on(filled_registry(), act)


@pytest.mark.parametrize("table", ["x", ["open"], 5])
def test_what_is_no_table_of_keys_is_refused(table: object) -> None:
    with pytest.raises(UsageError, match="keys is not a table"):
        parse_keymap(table, where="config")


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        ("nonsense", "x", "nonsense is not a command"),
        ("open\x1b[2J", "x", "is not a command"),
        ("open", 5, "the keys of open are not texts"),
        ("open", ["x", 5], "the keys of open are not texts"),
        ("open", "", "the keys of open are not texts"),
        ("open", "ctrl+b", "ctrl+b cannot be given to open: it belongs to the terminal"),
        ("open", "entr", "entr is not a key"),
        ("open", "ctrl+", "ctrl+ is not a key"),
        ("open", "hyper+x", "hyper+x is not a key"),
        ("open", " ", " is not a key"),
        ("approve", "a", "a cannot be given to approve, which changes the registry"),
        ("delete", "f8", "f8 cannot be given to delete, which changes the registry"),
    ],
)
def test_a_wrong_entry_is_said_and_leaves_the_command_its_keys(name: str, keys: object, said: str) -> None:
    keymap = parse_keymap({name: keys, "back": "ctrl+x"}, where=CONFIG)
    assert keymap.remapped == {"back": ("ctrl+x",)}
    (fault,) = keymap.faults
    assert fault.startswith(CONFIG)
    assert said in fault
    assert fault.isprintable()


@pytest.mark.parametrize("key", ["x", "é", "f5", "ctrl+x", "shift+tab", "ctrl+shift+up", "enter", "space", "?", "+"])
def test_a_key_may_be_a_character_or_a_name(key: str) -> None:
    assert parse_keymap({"open": key}, where=CONFIG) == Keymap({"open": (key,)})


def test_what_changes_the_registry_may_have_another_capital_letter() -> None:
    assert parse_keymap({"approve": "Y"}, where=CONFIG).remapped == {"approve": ("Y",)}
    assert {"approve", "delete", "promote", "probe"} <= WRITING


def test_of_two_commands_on_one_key_the_first_keeps_it_and_that_is_said() -> None:
    keymap = parse_keymap({"open": ["x", "enter"], "back": "x"}, where=CONFIG)
    assert keymap.remapped == {"open": ("x", "enter")}
    assert "x is given to both open and back; it is open's" in keymap.faults[0]


def test_a_key_that_another_command_of_the_screen_has_is_said_once() -> None:
    commands = [Command(name, (key,), name, print) for name, key in (("sort", "s"), ("mark", "space"), ("help", "?"))]
    faults = KeyFaults(Keymap({"mark": ("s", "space")}))
    assert faults.look(commands) == "s is given to mark, and sort had it; it is mark's"
    assert faults.look(commands) == ""
    assert Keymap({"mark": ("s",)}).find(commands, "s") is commands[1]
    assert Keymap().find(commands, "s") is commands[0]


def test_wrong_entries_are_said_at_the_start_once_and_stay_in_health() -> None:
    async def act(desk: Desk) -> None:
        assert "config.toml: tui.keys: opne is not a command" in desk.notice
        assert "(and 1 more: :doctor shows all)" in desk.notice
        await desk.press("j")
        assert "opne" not in desk.text
        await desk.press("G", "enter", "h")
        assert "opne" not in desk.text
        await desk.press("colon")
        await desk.type("doctor")
        await desk.press("enter", "G")
        assert "WARN" in desk.text
        assert "opne is not a command" in desk.text

    on(filled_registry(), act, settings=settings(opne="x", mark="j+"))


def test_a_key_that_is_another_commands_on_a_later_screen_is_said_there() -> None:
    async def act(desk: Desk) -> None:
        assert "given" not in desk.notice
        await desk.press("G", "enter", "equals_sign")
        assert "b is given to refresh, and baseline had it; it is refresh's" in desk.notice

    on(filled_registry(), act, settings=settings(refresh="b"))


def test_a_key_that_the_user_gave_to_a_command_of_another_screen_says_where_it_belongs() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("Y")
        assert "Y approve: not here, it is for the versions of a model (enter on a model)" in desk.notice
        await desk.press("A")
        assert "A does nothing here" in desk.notice

    on(filled_registry(), act, settings=settings(approve="Y"))


def test_right_entries_say_nothing() -> None:
    async def act(desk: Desk) -> None:
        assert "tui.keys" not in desk.text
        assert "is given to" not in desk.text

    on(filled_registry(), act, settings=settings(open=["enter", "ctrl+o"], approve="Y"))
