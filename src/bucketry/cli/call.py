"""What a command knows besides its own arguments: which registry, in which form to answer, and to whom."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.cli import messages, output
from bucketry.cli.messages import Messages
from bucketry.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bucketry.cli.output import Text
    from bucketry.errors import BucketryError
    from bucketry.registry.core.session import Session


@dataclass(slots=True)
class Call:
    """One run of the program. The global options are filled in as they are parsed, before and after the command."""

    registry: str | None = None
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False
    output: Output = field(default_factory=Output)
    messages: Messages = field(default_factory=Messages)
    _opened: list[Session] = field(default_factory=list)

    def settle(self) -> None:
        """Apply the global options to everything that is written from here on."""
        plain = self.no_color or bool(os.environ.get("NO_COLOR"))
        self.output.colour = output.is_terminal() and not plain
        self.messages.colour = messages.is_terminal() and not plain
        self.messages.quiet = self.quiet
        self.messages.verbose = self.verbose

    def open(self, *, serves: bool = False, trust: Path | None = None, late: bool = False) -> Session:
        """Open the registry that the options, the environment or the configuration name.

        Whoever `serves` what it holds is bound by a trust file: the one given, else the profile's, if it names one.
        With `late` a bucket is opened by its first use.
        """
        from bucketry.registry.core.opening import open_session  # noqa: PLC0415 - `--help` needs no registry

        def say_waiting(store: str) -> None:
            self.messages.note(f"still waiting for the first reply of {store}; ctrl-c gives up")

        session = open_session(self.registry, serves=serves, trust=trust, late=late, still_waiting=say_waiting)
        self._opened.append(session)
        self.messages.detail(f"registry {session.store.name}, acting as {session.actor}")
        return session

    def close(self) -> None:
        """Release what was opened."""
        for session in self._opened:
            session.store.close()
        self._opened.clear()

    def answer(self, document: object, lines: Iterable[Text]) -> None:
        """Give the result: as one JSON document, or as lines for people."""
        if self.as_json:
            self.output.write_document(document)
        else:
            self.output.write_lines(lines)


class AnsweredError(Exception):
    """A failure that comes with an answer: what was found is printed, and then why it is not good.

    With `--json` the answer's document is printed; `carries_error` adds the `error` field to it.
    """

    def __init__(
        self,
        error: BucketryError,
        document: dict[str, object],
        lines: Iterable[Text] = (),
        *,
        carries_error: bool = True,
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.document = document
        self.lines = lines
        self.carries_error = carries_error
