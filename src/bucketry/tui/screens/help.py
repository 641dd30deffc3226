"""Which keys are there, and what does each do?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.tui.commands import shown_key
from bucketry.tui.paint import Span, line, pad
from bucketry.tui.screens.text import TextView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.tui.app import BucketryApp
    from bucketry.tui.commands import Command
    from bucketry.tui.paint import Line

KEY_COLUMNS = 22
NAME_COLUMNS = 18


class HelpView(TextView):
    """All commands of the screen that it was opened from."""

    def __init__(self, shell: BucketryApp, listed: Sequence[Command]) -> None:
        super().__init__(shell)
        self._listed = tuple(listed)
        self._legend = tuple(shell.view.legend)

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Where this is."""
        return ("all keys",)

    def shown(self) -> None:
        """Show the keys, by what they are for."""
        self.text.show(self._lines())

    def _lines(self) -> list[Line]:
        groups: dict[str, dict[str, Command]] = {}
        for command in self._listed:
            groups.setdefault(command.group, {}).setdefault(command.name, command)
        lines: list[Line] = [
            line(" Lower case never changes the registry; capital letters do (but for G)."),
            line(
                Span(" The name in the middle is what to type after : and in [tui.keys] of the configuration.", "dim")
            ),
        ]
        for group, commands in groups.items():
            lines += [line(), line(Span(f" {group.upper()}", "header"))]
            lines += [self._line(command) for command in commands.values()]
        if self._legend:
            lines += [line(), line(Span(" COLUMNS", "header")), *self._legend]
        return lines

    def _line(self, command: Command) -> Line:
        keys = " ".join(map(shown_key, self.shell.settings.keymap.keys_of(command)))
        why_not = command.why_not()
        name = " ".join(part for part in (command.name, command.argument) if part)
        after = Span(f"  (not now: {why_not})", "warn") if why_not else Span("")
        return line(
            "  ",
            Span(pad(keys, KEY_COLUMNS - 2), "accent"),
            Span(pad(name, NAME_COLUMNS), "dim"),
            " ",
            command.title,
            after,
        )
