"""All keys of a screen: what each does, and why not now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bucketry.show.spans import Span, line, pad, text_width, wrapped
from bucketry.tui.screens.text import SCROLLING, TextView
from bucketry.tui.shell.commands import Command, shown_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.show.spans import Line
    from bucketry.tui.shell.view import Shell

MOST_KEY_COLUMNS, MOST_NAME_COLUMNS = 18, 20
GAP_COLUMNS = 2


class HelpView(TextView):
    """All commands of the screen that it was opened from. The keys that open it close it, too."""

    CALLED = "the help (?)"
    crumbs = ("all keys",)

    COMMANDS: ClassVar[tuple[Command[HelpView], ...]] = (
        Command("help", ("?", "f1"), "Close the help", lambda view, _: view.shell.back(), hint="close", group="Go"),
        Command("back", ("h", "left", "backspace"), "Go back", lambda view, _: view.shell.back(), group="Go"),
        *SCROLLING,
    )

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self._about = shell.view
        self._listed = shell.commands
        self._legend = tuple(shell.view.legend)

    def shown(self) -> None:
        """Show the keys, by what they are for."""
        self.text.show(self._lines())

    def draw(self) -> None:
        """Lay out the keys, with why not now."""
        self.text.show(self._lines(), keep_place=True)

    def _lines(self) -> list[Line]:
        groups: dict[str, dict[str, Command[Any]]] = {}
        for command in self._listed:
            groups.setdefault(command.group, {}).setdefault(command.name, command)
        width = max(20, self.size.width - 2)
        named = "The name in the middle is what to type after : and in [tui.keys] of the configuration."
        lines: list[Line] = [
            line(" Lower case never changes the registry; capital letters do (but for G)."),
            *(line(" ", *shown) for shown in wrapped(named, width, role="dim")),
        ]
        keys, names = (
            min(most, max(text_width(text(command)) for command in self._listed)) + GAP_COLUMNS
            for most, text in ((MOST_KEY_COLUMNS, self._keys), (MOST_NAME_COLUMNS, _name))
        )
        for group, commands in groups.items():
            lines += [line(), line(Span(f" {group.upper()}", "header"))]
            for command in commands.values():
                lines += self._command_lines(command, keys, names, width)
        if self._legend:
            lines += [line(), line(Span(" COLUMNS", "header"))]
            for title, about in self._legend:
                left = (Span(title, "accent"), Span(" " * (keys - text_width(title))))
                lines += _beside(left, wrapped(about, width - keys - 1))
        return lines

    def _command_lines(self, command: Command[Any], keys: int, names: int, width: int) -> list[Line]:
        why_not, name = command.why_not(self._about), _name(command)
        shown = self._keys(command)
        left = (Span(shown, "accent"), Span(" " * (keys - text_width(shown)) + pad(name, names)))
        room = width - keys - names - 1
        said = [*wrapped(command.title, room), *(wrapped(f"not now: {why_not}", room, role="warn") if why_not else ())]
        if text_width(name) < names:
            return _beside(left, said)
        return [line(" ", *left), *_beside((Span(" " * (keys + names)),), said)]

    def _keys(self, command: Command[Any]) -> str:
        return shown_keys(command, self.shell.settings.keymap)


def _name(command: Command[Any]) -> str:
    return " ".join(part for part in (command.name, command.argument) if part)


def _beside(left: Line, said: Sequence[Line]) -> list[Line]:
    """Return lines with something to the left of the first."""
    space = " " * sum(text_width(span.text) for span in left)
    return [line(" ", *(left if not place else (Span(space),)), *shown) for place, shown in enumerate(said)]
