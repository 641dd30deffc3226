"""A paste stays a text, whatever is in it: escape characters are taken out of it.

A terminal marks where a paste begins and ends (bracketed paste). The toolkit takes an escape character in between for a
key, and what follows, line ends included, for more of them: a paste could press enter. Terminals are to take escape
characters out of a paste; not all do, so they are taken out here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual._xterm_parser import XTermParser  # the toolkit has no other way

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from textual.message import Message

_ESCAPE = "\x1b"
_BEGIN, _END = "\x1b[200~", "\x1b[201~"


class PasteParser(XTermParser):
    """The toolkit's parser of what a terminal sends, given no escape character of a paste."""

    def __init__(self, debug: bool = False) -> None:  # noqa: FBT001, FBT002 - as the toolkit has it
        super().__init__(debug)
        self._is_in_paste = False
        self._before = ""
        """What came last: of a mark that is cut in two, the part that was passed on, or, of its end, is held back."""

    def feed(self, data: str) -> Iterable[Message]:
        """Take what was sent, in pieces of any size; nothing says that it is over."""
        is_end, passed = not data, ""
        while data:  # bounded: each round ends with a mark, and takes it away
            if self._is_in_paste:
                inside, end, data = (self._before + data).partition(_END)
                held = "" if end else _beginning_of(_END, inside)
                passed += inside.removesuffix(held).replace(_ESCAPE, "") + end
                self._is_in_paste, self._before = not end, held
            else:
                known = len(self._before)
                outside, begin, rest = (self._before + data).partition(_BEGIN)
                passed += (outside + begin)[known:]
                self._is_in_paste, data = bool(begin), rest
                self._before = "" if begin else _beginning_of(_BEGIN, outside)
        return super().feed(passed) if passed or is_end else ()


def guard_pastes(driver: ModuleType) -> None:
    """Have a driver of the toolkit, by its module, use the parser."""
    driver.XTermParser = PasteParser  # type: ignore[attr-defined]


def _beginning_of(mark: str, text: str) -> str:
    """Return with how much of a mark a text ends."""
    return next((mark[:size] for size in range(len(mark) - 1, 0, -1) if text.endswith(mark[:size])), "")
