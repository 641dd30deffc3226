"""What can be done here, with which key, and if not now, why not?

One table stands behind the keys, the palette, the `:` line, the line of hints and the help. A command's name is stable:
users remap its keys by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from textual import events

FORBIDDEN_KEYS = frozenset({"ctrl+c", "ctrl+b", "ctrl+a"})
"""Ctrl-C interrupts; the others belong to tmux and screen."""


def always() -> str:
    """Return that nothing stands in the way."""
    return ""


@dataclass(frozen=True, slots=True)
class Command:
    """Something that can be done.

    `run` gets the text after the name on the `:` line; from a key it is empty. `why_not` returns why it cannot be done
    now, in a sentence's words, or "". `hint` is its word in the line of hints, if it is to be there. `writes`: it
    changes the registry, and so its keys are capital letters. `argument` says what may follow on the `:` line.
    """

    name: str
    keys: tuple[str, ...]
    title: str
    run: Callable[[str], None]
    why_not: Callable[[], str] = always
    hint: str = ""
    group: str = "Other"
    writes: bool = False
    argument: str = ""
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Keymap:
    """Which keys a command has: its own, or those that the user's configuration gives it."""

    remapped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def keys_of(self, command: Command) -> tuple[str, ...]:
        """Return the command's keys; the first is the one to show."""
        return self.remapped.get(command.name, command.keys)

    def find(self, commands: Iterable[Command], key: str) -> Command | None:
        """Return the first of the commands that has this key."""
        return next((command for command in commands if key in self.keys_of(command)), None)


def find_command(commands: Iterable[Command], typed: str) -> Command | None:
    """Return the command of this name, or the only one whose name begins so."""
    known = list(commands)
    exact = [command for command in known if typed == command.name or typed in command.also]
    if exact:
        return exact[0]
    begun = {command.name: command for command in known if command.name.startswith(typed)}
    return next(iter(begun.values())) if typed and len(begun) == 1 else None


def matching_commands(commands: Iterable[Command], words: str) -> list[Command]:
    """Return the commands whose name, title or group has every word, each name once."""
    wanted = words.lower().split()
    found: dict[str, Command] = {}
    for command in commands:
        text = f"{command.name} {command.title} {command.group}".lower()
        if all(word in text for word in wanted):
            found.setdefault(command.name, command)
    return list(found.values())


def hint_texts(commands: Iterable[Command], keymap: Keymap) -> list[tuple[str, str]]:
    """Return key and word of each command that has a hint.

    Also where it cannot be done on this very row: a line that changes with each step costs more than the step.
    """
    seen: dict[str, tuple[str, str]] = {}
    for command in commands:
        keys = keymap.keys_of(command)
        if command.hint and keys:
            seen.setdefault(keys[0], (shown_key(keys[0]), command.hint))
    return list(seen.values())


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


def parse_keymap(table: object, known: Sequence[str], *, where: str) -> Keymap:
    """Return the keymap of a `[tui.keys]` table; raise `UsageError` for what names no command or no key."""
    if not isinstance(table, dict):
        raise UsageError(f"{where}: keys is not a table", advice='write open = ["enter", "l"] under [tui.keys]')
    remapped: dict[str, tuple[str, ...]] = {}
    taken: dict[str, str] = {}
    for name, value in table.items():
        keys = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else ()
        if known and name not in known:
            raise UsageError(f"{where}: {name} is not a command", advice="press ? in the screens: it lists all names")
        if not all(isinstance(key, str) and key for key in keys) or not isinstance(value, str | list):
            raise UsageError(f"{where}: the keys of {name} are not texts", advice='write open = ["enter", "l"]')
        for key in keys:
            if key in FORBIDDEN_KEYS:
                raise UsageError(f"{where}: {key} cannot be given to {name}", advice="it belongs to the terminal")
            if key in taken:
                raise UsageError(f"{where}: {key} is given to both {taken[key]} and {name}")
            taken[key] = name
        remapped[name] = keys
    return Keymap(remapped)
