"""Which names of commands may stand in `[tui.keys]`, on whichever screen they are?

The screens make their commands when they are opened, and a wrong name is to be said before that: hence a list, which a
test compares with what the screens make.
"""

from __future__ import annotations

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
        *("pause", "cancel", "retry", "verify", "more", "fewer", "limit", "helper-log"),
    }
)
COMMAND_NAMES = WRITING | MOVING | PLACES | READING
