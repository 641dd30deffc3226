"""Commands as data: what can be done on a screen, with which keys, and the rule that says why it cannot be done now.

Each screen declares its table once, for the class; it stands behind the keys, the palette, the `:` line, the line of
hints and the help. What a command does and why not are functions that get the view, so that no key press makes a
command. Its name is stable: users remap its keys by it.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

    from textual import events

V_contra = TypeVar("V_contra", contravariant=True)

FORBIDDEN_KEYS = frozenset({"ctrl+c", "ctrl+b", "ctrl+a"})
"""Ctrl-C interrupts; the others belong to tmux and screen."""
NAMED_KEYS = frozenset(
    {
        *("enter", "escape", "tab", "space", "backspace", "delete", "insert"),
        *("up", "down", "left", "right", "home", "end", "pageup", "pagedown"),
        *(f"f{number}" for number in range(1, 25)),
    }
)

WRITING = frozenset(
    {
        *("approve", "reject", "comment", "request", "promote", "rollback", "edit", "retire", "delete", "undo"),
        "probe",
    }
)
"""What changes the registry: only capital letters do that."""
MOVING = frozenset(
    {
        *("down", "up", "top", "bottom", "half-down", "half-up", "page-down", "page-up", "open", "back", "escape"),
        *("last", "quit", "leave", "next-tab", "previous-tab", *(f"tab-{number}" for number in range(1, 8))),
    }
)
PLACES = frozenset(
    {
        *("models", "versions", "compare", "review", "deployments", "audit", "doctor", "transfers", "log", "help"),
        *("palette", "command"),
    }
)
READING = frozenset(
    {
        *("filter", "sort", "next-column", "previous-column", "columns", "mark", "mark-all", "range"),
        *("column-toggle", "column-earlier", "column-later", "columns-keep", "columns-leave", "columns-usual"),
        *("yank", "card", "download", "refresh", "measure", "drift", "unchanged", "internal"),
        *("baseline", "next-slices", "previous-slices", "tensors", "markdown"),
        *("lock", "redraw", "theme", "time", "mouse"),
        *("pause", "cancel", "retry", "verify", "more", "fewer", "limit", "worker-log"),
    }
)
COMMAND_NAMES = WRITING | MOVING | PLACES | READING
"""All names: screens are loaded when they are opened, and a wrong name in `[tui.keys]` is to be said before that."""


def always(_view: object) -> str:
    """Return that nothing stands in the way."""
    return ""


@frozen
class Command(Generic[V_contra]):
    """Something that can be done on a view.

    `run` gets the view and the text after the name on the `:` line; from a key it is empty. `why_not` returns why it
    cannot be done now, in a sentence's words, or "". `hint` is its word in the line of hints, or what returns it, if it
    is to be there. `writes`: it changes the registry, and so its keys are capital letters. `argument` says what may
    follow on the `:` line; with `is_typed_whole` nothing stands in the way of what is given there.
    """

    name: str
    keys: tuple[str, ...]
    title: str
    run: Callable[[V_contra, str], None]
    why_not: Callable[[V_contra], str] = always
    hint: str | Callable[[V_contra], str] = ""
    group: str = "Other"
    writes: bool = False
    argument: str = ""
    is_typed_whole: bool = False
    also: tuple[str, ...] = ()


@frozen
class Keymap:
    """Which keys a command has: its own, or those that the user's configuration gives it.

    `faults` says which entries of the configuration could not be taken, and why.
    """

    remapped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def keys_of(self, command: Command[Any]) -> tuple[str, ...]:
        """Return the command's keys; the first is the one to show."""
        return self.remapped.get(command.name, command.keys)

    def find(self, commands: Iterable[Command[Any]], key: str) -> Command[Any] | None:
        """Return the command with this key: one that the user gave it to, else the first that has it by itself."""
        found = [command for command in commands if key in self.keys_of(command)]
        given = (command for command in found if key in self.remapped.get(command.name, ()))
        return next(given, found[0] if found else None)


def find_command(commands: Iterable[Command[Any]], typed: str) -> Command[Any] | None:
    """Return the command of this name, or the only one whose name begins so."""
    known = list(commands)
    exact = [command for command in known if typed == command.name or typed in command.also]
    if exact:
        return exact[0]
    begun = {command.name: command for command in known if command.name.startswith(typed)}
    return next(iter(begun.values())) if typed and len(begun) == 1 else None


def matching_commands(commands: Iterable[Command[Any]], words: str) -> list[Command[Any]]:
    """Return the commands whose name, title or group has every word, each name once."""
    wanted = words.lower().split()
    found: dict[str, Command[Any]] = {}
    for command in commands:
        text = f"{command.name} {command.title} {command.group}".lower()
        if all(word in text for word in wanted):
            found.setdefault(command.name, command)
    return list(found.values())


def hint_texts(
    commands: Iterable[Command[V_contra]], view: V_contra, keymap: Keymap, *, has_nothing: bool
) -> list[tuple[str, str]]:
    """Return key and word of each command that has a hint; that of the help, which stays where room is short, is last.

    Also where it cannot be done on this very row: a line that changes with each step costs more than the step. Only
    where the view `has_nothing`, what cannot be done there has none.
    """
    found: dict[str, str] = {}
    last = "?"
    for command in commands:
        first = next(map(shown_key, keymap.keys_of(command)), "")
        word = command.hint if isinstance(command.hint, str) else command.hint(view)
        if command.name == "help":
            last = shown_keys(command, keymap).split()[0]
        if word and first and not (has_nothing and command.why_not(view)):
            found.setdefault(first, word)
    word = found.pop(last, "all")
    return [*found.items(), (last, word)]


def key_of(event: events.Key) -> str:
    """Return a key as the tables here spell it: the character itself, or a name such as `enter` or `ctrl+d`."""
    if event.character == " ":
        return "space"
    if event.is_printable and event.character:
        return event.character
    return event.key


def shown_key(key: str) -> str:
    """Return a key as people read it."""
    return {"escape": "esc", "backspace": "bksp", "pageup": "pgup", "pagedown": "pgdn"}.get(key, key)


def lower_first(title: str) -> str:
    """Return a command's title as it stands within a sentence."""
    return f"{title[0].lower()}{title[1:]}"


def why_unmoved(command: Command[Any], before: Hashable, after: Hashable) -> str:
    """Return why a key that moves moved nothing, or "" where it did, or is none."""
    if before != after:
        return ""
    if command.name in {"down", "bottom", "half-down", "page-down"}:
        return "this is the end"
    return "this is the beginning" if command.name in {"up", "top", "half-up", "page-up"} else ""


def shown_keys(command: Command[Any], keymap: Keymap) -> str:
    """Return how people do a command: its keys, or what they type after `:` where it has none."""
    keys = keymap.keys_of(command)
    return " ".join(map(shown_key, keys)) or f":{min((command.name, *command.also), key=len)}"


def parse_keymap(table: object, *, where: str) -> Keymap:
    """Return the keymap of a `[tui.keys]` table, with a sentence about each entry that could not be taken.

    Raises `UsageError` for what is no table. A wrong entry leaves the command its own keys: nobody is kept from the
    screens by it.
    """
    if not isinstance(table, dict):
        raise UsageError(f"{where}: keys is not a table", advice='write open = ["enter", "l"] under [tui.keys]')
    remapped: dict[str, tuple[str, ...]] = {}
    taken: dict[str, str] = {}
    faults: list[str] = []
    for name, value in table.items():
        keys = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else None
        if name not in COMMAND_NAMES:
            fault = f"{name} is not a command (? in the screens lists all names)"
        elif keys is None or not all(isinstance(key, str) and key for key in keys):
            fault = f'the keys of {name} are not texts: write open = ["enter", "l"]'
        else:
            fault = next(filter(None, (_key_fault(name, key, taken) for key in keys)), "")
        if fault:
            faults.append(f"{where}: {displayable(fault)}")
        elif keys is not None:
            taken |= dict.fromkeys(keys, name)
            remapped[name] = keys
    return Keymap(remapped, tuple(faults))


class KeyFaults:
    """What is wrong with the user's keys. `said` grows with the screens that are opened: each has its own commands."""

    def __init__(self, keymap: Keymap) -> None:
        self.said: list[str] = []
        self._keymap = keymap

    def look(self, commands: Iterable[Command[Any]]) -> str:
        """Look at the commands of a screen; return what was not said yet, in a line, or ""."""
        found = dict.fromkeys((*self._keymap.faults, *_shared_keys(commands, self._keymap)))
        new = [fault for fault in found if fault not in self.said]
        self.said += new
        more = f" (and {len(new) - 1} more: :doctor shows all)" if len(new) > 1 else ""
        return f"{new[0]}{more}" if new else ""


def _shared_keys(commands: Iterable[Command[Any]], keymap: Keymap) -> Iterator[str]:
    """Yield a sentence for each key that the user gave to a command, and that another one here has too."""
    listed: dict[str, Command[Any]] = {}
    for command in commands:
        listed.setdefault(command.name, command)
    for name in keymap.remapped.keys() & listed.keys():
        own = listed[name]
        for key in keymap.keys_of(own):
            others = [one.name for one in listed.values() if one is not own and key in keymap.keys_of(one)]
            if others and key not in own.keys:
                yield f"{shown_key(key)} is given to {name}, and {' and '.join(others)} had it; it is {name}'s"


def _key_fault(name: str, key: str, taken: Mapping[str, str]) -> str:
    """Return what is wrong with a key that is given to a command, or ""."""
    if key in FORBIDDEN_KEYS:
        return f"{key} cannot be given to {name}: it belongs to the terminal"
    if not _is_key(key):
        return f"{key} is not a key: write a character, or a name such as enter, f2, ctrl+d or shift+tab"
    if name in WRITING and not (len(key) == 1 and key.isupper()):
        return f"{key} cannot be given to {name}, which changes the registry: only capital letters do"
    return f"{key} is given to both {taken[key]} and {name}; it is {taken[key]}'s" if key in taken else ""


def _is_key(key: str) -> bool:
    """Return whether there is a key that `key_of` spells so."""
    if len(key) == 1:
        return key.isprintable() and key != " "
    *modifiers, last = key.split("+")
    if not set(modifiers) <= {"ctrl", "shift", "alt"}:
        return False
    return last in NAMED_KEYS or (bool(modifiers) and len(last) == 1 and last.isalnum())
