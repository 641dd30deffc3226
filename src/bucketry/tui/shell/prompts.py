"""What a screen may ask of its user in one line: a text, or one key of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bucketry.show.spans import Line


def any_text(_text: str) -> str:
    """Return that every text will do."""
    return ""


@frozen
class Question:
    """A text that is asked for. `panel` is shown above it; with `is_production` in the colours of danger.

    `why_not` returns why a text will not do, or "". `on_change` is called with every change, `on_cancel` if there is
    no answer. `complete` returns what the tab key could make of the text. `on_move` is for a text that chooses among
    rows: up and down go through them meanwhile. `enter` is what the enter key does, in a word.
    """

    label: str
    on_answer: Callable[[str], None]
    initial: str = ""
    panel: Sequence[Line] = ()
    panel_title: str = ""
    is_production: bool = False
    why_not: Callable[[str], str] = any_text
    on_change: Callable[[str], None] | None = None
    on_cancel: Callable[[], None] | None = None
    complete: Callable[[str], Sequence[str]] | None = None
    on_move: Callable[[int], None] | None = None
    enter: str = "confirm"


@frozen
class Choice:
    """One key of several: each has its word and what it does. Any other key leaves things as they are."""

    label: str
    options: Mapping[str, tuple[str, Callable[[], None]]]
