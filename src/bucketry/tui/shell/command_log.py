"""What was done so far, as the command lines that do the same, and how many requests each cost."""

from __future__ import annotations

import shlex
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_ENTRIES = 1_000


@frozen
class LogEntry:
    """One action. `at` is a time as documents spell it; `failure` is why it failed, or empty."""

    at: str
    line: str
    requests: int
    seconds: float
    failure: str = ""
    writes: bool = False


@dataclass(slots=True)
class CommandLog:
    """The last thousand actions."""

    _entries: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=MOST_ENTRIES))

    def add(self, entry: LogEntry) -> None:
        """Note an action."""
        self._entries.append(entry)

    def newest_first(self) -> Iterator[LogEntry]:
        """Yield the entries."""
        return reversed(self._entries)


def command_line(*words: str, registry: str | None = None) -> str:
    """Return the command line that does the same; it can be pasted into a shell."""
    options = ("-r", registry) if registry else ()
    return displayable(shlex.join(("bucketry", *options, *words)))
