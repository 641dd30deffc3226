"""How is a move of an alias asked for, while what it would change is still being read?

The panel opens at once and fills in; what is typed meanwhile stays. There is no answer before everything that the
decision depends on is shown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UnavailableError
from bucketry.frozen import frozen
from bucketry.show.spans import Span, flowing
from bucketry.tui.actions.promotion_preview import read_servers, read_verdicts
from bucketry.tui.actions.version_actions import (
    PANEL_COLUMNS,
    READING,
    REFUSED,
    reason_line,
    refusal_lines,
    text_behind,
)
from bucketry.tui.drawing.marks import PRODUCTION_NAMES
from bucketry.tui.shell.prompts import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.errors import BucketryError
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import AliasName, ModelName
    from bucketry.show.spans import Line
    from bucketry.tui.actions.promotion_preview import PromotionPreview
    from bucketry.tui.shell.view import Shell


@frozen
class Move:
    """What is asked for. `words` are the command that reads the same as `look`; `told` is what changed meanwhile.

    `head` returns the first line, `body` what is said of the version, `tail` how it is undone and done elsewhere;
    they get None while it is being read. `go` moves, and gets the reason and all that was typed; `typed` is what was
    typed before somebody else was quicker, `reason` what was given with the alias. `draft` is by what a reason is kept
    after a failure.
    """

    verb: str
    title: str
    model: ModelName
    alias: AliasName
    words: tuple[str, ...]
    draft: str
    look: Callable[[Session], PromotionPreview]
    head: Callable[[PromotionPreview | None], Line]
    body: Callable[[PromotionPreview, int], Sequence[Line]]
    tail: Callable[[PromotionPreview | None], Sequence[Line]]
    go: Callable[[PromotionPreview, str, str], None]
    told: str = ""
    typed: str = ""
    reason: str = ""


class MovePanel:
    """The panel of one move, for as long as it is asked for."""

    def __init__(self, shell: Shell, move: Move, prospect: PromotionPreview | None = None) -> None:
        self._shell = shell
        kept = "" if move.reason or move.typed else shell.asking.drafts.pop(move.draft, "")
        self._move = replace(move, reason=kept) if kept else move
        self._prospect = prospect
        self._servers: Sequence[Span] = READING
        self._verdicts: Sequence[Span] = READING
        self._fault = ""
        self._is_refused = False
        self._question = self._asked()

    def open(self) -> None:
        """Show the panel, ask, and begin to read."""
        shell, move = self._shell, self._move
        shell.ask(self._question)
        if self._prospect is not None:
            self._take(self._prospect)
        else:
            shell.read("prospect", move.words, move.look, self._take, self._fail)
        shell.read(
            "prospect-servers",
            ("deployments", str(move.model)),
            lambda session: read_servers(session, move.model, move.alias),
            self._take_servers,
            lambda error: self._take_servers(_unread(error)),
        )

    def _take(self, prospect: PromotionPreview) -> None:
        """Show what the move depends on, and read how the two versions compare."""
        self._prospect = prospect
        move = self._move
        if prospect.now is None or prospect.is_there:
            same = f"{move.alias} names v{prospect.now} already" if prospect.now else "it names nothing yet"
            self._take_verdicts((Span(same, "warn" if prospect.now else "dim"),))
            return
        self._redraw()
        self._shell.read(
            "prospect-verdicts",
            ("diff", f"{move.model}@{move.alias}", f"{move.model}:{prospect.version}"),
            lambda session: read_verdicts(session, move.model, prospect.version, move.alias),
            self._take_verdicts,
            lambda error: self._take_verdicts(_unread(error)),
        )

    def _fail(self, error: BucketryError) -> None:
        self._fault = f"{error.message}; {error.remedy}" if error.remedy else error.message
        self._is_refused = not isinstance(error, UnavailableError | CorruptError)
        self._take_verdicts(())

    def _take_servers(self, found: Sequence[Span]) -> None:
        self._servers = found
        self._redraw()

    def _take_verdicts(self, found: Sequence[Span]) -> None:
        self._verdicts = found
        self._redraw()

    def _redraw(self) -> None:
        """Show what is known by now, unless the question was answered or given up."""
        after = self._asked()
        if self._shell.asking.revise(self._question, after):
            self._question = after

    def _asked(self) -> Question:
        move, prospect = self._move, self._prospect
        serves = move.alias in PRODUCTION_NAMES or (prospect is not None and prospect.is_protected)
        return Question(
            f"type  {move.model}  to {move.verb}:",
            self._answer,
            initial=move.typed,
            panel=self._lines(),
            panel_title=f"{move.title} PROD" if serves else move.title.removesuffix(" TO"),
            is_production=serves,
            why_not=self._why_not,
            enter=move.verb,
        )

    def _answer(self, text: str) -> None:
        if self._prospect is not None:  # else the question takes no answer
            reason = text_behind(str(self._move.model), text) or self._move.reason
            self._move.go(self._prospect, reason, text)

    def _why_not(self, text: str) -> str:
        if self._prospect is None:
            return (REFUSED if self._is_refused else "cannot be read") if self._fault else "still reading"
        if self._prospect.is_there:
            return "nothing to do"
        if self._prospect.refusal:
            return REFUSED
        return "" if text_behind(str(self._move.model), text) is not None else "name differs"

    def _lines(self) -> tuple[Line, ...]:
        move, prospect = self._move, self._prospect
        width = self._shell.size.width - PANEL_COLUMNS
        is_refused = prospect is not None and bool(prospect.refusal) and not prospect.is_there
        changed = f"CHANGED MEANWHILE: {move.told}" if move.told else ""
        if self._fault:  # nothing is known of where it would go
            fault = refusal_lines(self._fault, width) if self._is_refused else _sentence(self._fault, width)
            return (*_sentence(changed, width), *fault)
        return (
            *_sentence(changed, width),
            move.head(prospect),
            *refusal_lines(prospect.refusal if is_refused and prospect else "", width),
            *flowing([Span("serves:", "dim"), *self._servers], width, between=" "),
            *flowing(list(self._verdicts), width, between="   ", indent=""),
            *(move.body(prospect, width) if prospect is not None else ()),
            *(() if is_refused else (reason_line(str(move.model), move.reason),)),
            *move.tail(prospect),
        )


def _sentence(text: str, width: int) -> list[Line]:
    return flowing([Span(word, "bad") for word in text.split()], width, between=" ")


def _unread(error: BucketryError) -> Sequence[Span]:
    return (Span(f"cannot be read: {error.message}", "warn"),)
