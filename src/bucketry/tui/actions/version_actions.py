"""How is something asked for that is done to one version, so that nothing is typed in vain and nothing happens unseen?

The prompt opens at once, and the registry's own rules are asked meanwhile. Where they forbid it the prompt says so and
takes no answer; it stays until esc, or else what is being typed would be taken for keys. What touches a version that
serves for real asks for the model's name, behind which a reason may follow. If somebody else was quicker, the prompt
stays open with the text, and says what changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, ContendedError, RejectedError
from bucketry.frozen import frozen
from bucketry.index.views import find_model_line
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.schema.text import displayable
from bucketry.show.figures import age_text
from bucketry.show.spans import Span, flowing, line
from bucketry.tui.actions.promotion_preview import read_servers
from bucketry.tui.drawing.marks import is_production
from bucketry.tui.shell.prompts import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.index.views import ListedAlias, VersionLine
    from bucketry.registry.core.session import Session
    from bucketry.show.spans import Line
    from bucketry.tui.shell.view import Shell

PANEL_COLUMNS = 4
"""What the edges of the panel take."""
REFUSED = "REFUSED: esc closes"
"""Beside a text that will not be taken, whatever it is."""
READING: tuple[Span, ...] = (Span("reading ...", "dim"),)


@frozen
class VersionAction:
    """What is asked for about `row`, as it was shown when the model's history was at `generation`.

    `label` asks for the text. `words` are the command that does the same, but for the text. `check` raises what the
    registry would answer. `go` does it: with the text, and with what is to be called where it fails. `again` returns
    the same deed about the version as it is by now. `means` says what will follow, where it is to be shown. `serves`
    is the alias that serves for real and names the version, if it is touched by this; then, or where `needs_name`, the
    model's name is typed first. `why_not` returns why a text will not do.
    """

    row: VersionLine
    generation: int | None
    verb: str
    label: str
    words: tuple[str, ...]
    check: Callable[[Session], object]
    go: Callable[[str, Callable[[BucketryError], None]], None]
    again: Callable[[VersionLine, int], VersionAction]
    means: Sequence[Span] = ()
    serves: ListedAlias | None = None
    needs_name: bool = False
    needs_text: bool = False

    @property
    def reference(self) -> str:
        """The version's name."""
        return f"{self.row.model}:{self.row.version}"

    @property
    def asks_for_name(self) -> bool:
        """Whether the model's name is to be typed."""
        return self.needs_name or self.serves is not None


def serving_alias(shell: Shell, row: VersionLine) -> ListedAlias | None:
    """Return the alias that serves a version for real, as far as the screens know."""
    found = find_model_line(shell.source.index, row.model)
    known = (*(found.aliases if found is not None else ()), *row.aliases)
    return next((named for named in known if named.version == row.version and is_production(named)), None)


def text_behind(name: str, text: str) -> str | None:
    """Return the reason that was typed behind a name, "" for none, or None where the name differs."""
    rest = text.removeprefix(name)
    return rest.strip() if text.startswith(name) and (not rest or rest[0] == " ") else None


def with_reason(words: tuple[str, ...], reason: str) -> tuple[str, ...]:
    """Return a command with its reason, if there is one."""
    return (*words, "--reason", reason) if reason else words


def reason_line(name: str, kept: str, *, is_needed: bool = False) -> Line:
    """Return where a reason is typed, or the one that was given before, which holds unless another is typed."""
    follows = "the reason follows" if is_needed else "a reason may follow"
    return line(Span(f"reason: {displayable(kept)}" if kept else f"{follows} the name:  {name} WHY", "dim"))


def refusal_lines(refusal: str, width: int, *, indent: str = "") -> list[Line]:
    """Return what the registry would answer, in as many lines as it takes."""
    words = f"REFUSED: {displayable(refusal)}".split() if refusal else ()
    return flowing([Span(word, "bad") for word in words], width, between=" ", indent=indent)


def refusal_by(check: Callable[[Session], object]) -> Callable[[Session], BucketryError | None]:
    """Return what asks a rule and returns its refusal, which is an answer and no failure."""

    def ask(session: Session) -> BucketryError | None:
        try:
            check(session)
        except (RejectedError, ContendedError) as refusal:
            return refusal
        return None

    return ask


def refuse(shell: Shell, question: Question, error: BucketryError) -> None:
    """Say in a question that is being asked what its answer would meet, and take none."""
    refusal = f"{error.message}; {error.advice}" if error.advice else error.message
    panel = (*refusal_lines(refusal, shell.size.width - PANEL_COLUMNS), *question.panel)
    shell.asking.revise(question, replace(question, panel=panel, why_not=lambda _: REFUSED))


class ActionPanel:
    """The prompt of one deed, for as long as it is asked for. `is_framed`: a panel says which version is meant."""

    def __init__(
        self, shell: Shell, deed: VersionAction, *, typed: str = "", told: str = "", is_framed: bool = False
    ) -> None:
        self._shell = shell
        self._deed = deed
        self._told = told
        self._is_framed = is_framed
        self._servers: Sequence[Span] = READING
        self._refusal = ""
        kept = "" if typed else shell.asking.drafts.pop(self._draft, "")
        self._kept = kept if deed.asks_for_name else ""
        self._typed = typed or ("" if deed.asks_for_name else kept)
        self._question = self._asked()

    @property
    def _draft(self) -> str:
        return f"{self._deed.verb} {self._deed.reference}"

    def open(self) -> None:
        """Ask, and look meanwhile whether it may be done and whom it reaches."""
        shell, deed = self._shell, self._deed
        shell.ask(self._question)
        words = ("show", deed.reference)
        shell.read(f"may-{deed.verb}", words, refusal_by(deed.check), self._take_refusal, self._refuse)
        if deed.serves is not None:
            alias = deed.serves.alias
            shell.read(
                "deed-servers",
                ("deployments", str(deed.row.model)),
                lambda session: read_servers(session, deed.row.model, alias),
                self._take_servers,
                lambda error: self._take_servers((Span(f"cannot be read: {error.message}", "warn"),)),
            )

    def _take_refusal(self, refusal: BucketryError | None) -> None:
        if refusal is not None:
            self._refuse(refusal)

    def _refuse(self, error: BucketryError) -> None:
        """Say what the answer would meet, and take none; what was answered already meets the same."""
        self._refusal = f"{error.message}; {error.advice}" if error.advice else error.message
        self._redraw()

    def _take_servers(self, found: Sequence[Span]) -> None:
        self._servers = found
        self._redraw()

    def _redraw(self) -> None:
        after = self._asked()
        if self._shell.asking.revise(self._question, after):
            self._question = after

    def _asked(self) -> Question:
        deed, model = self._deed, self._deed.row.model
        shows = bool(self._told or self._is_framed or deed.asks_for_name or self._refusal)
        return Question(
            f"type  {model}  to {deed.verb}:" if deed.asks_for_name else deed.label,
            self._answer,
            initial=self._typed,
            panel=self._lines() if shows else (),
            panel_title=f"{deed.verb.upper()} {deed.reference}{' PROD' if deed.serves else ''}",
            is_production=deed.asks_for_name,
            why_not=self._why_not,
            enter=deed.verb,
        )

    def _why_not(self, text: str) -> str:
        if self._refusal:
            return REFUSED
        reason: str | None = text.strip()
        if self._deed.asks_for_name:
            reason = self._reason_in(text)
        if reason is None:
            return "name differs"
        needed = "the reason is missing" if self._deed.asks_for_name else "a text is needed"
        return needed if self._deed.needs_text and not reason else ""

    def _answer(self, text: str) -> None:
        reason = self._reason_in(text) if self._deed.asks_for_name else text.strip()

        def failed(error: BucketryError) -> None:
            if isinstance(error, ContendedError):
                self._ask_again(text, error)
            else:
                self._keep(text)
                self._shell.fail(error)

        self._deed.go(reason or "", failed)

    def _reason_in(self, text: str) -> str | None:
        """Return the reason that follows the name, else the one that was kept, or None where the name differs."""
        reason = text_behind(str(self._deed.row.model), text)
        return None if reason is None else reason or self._kept

    def _keep(self, text: str) -> None:
        """Keep what was typed for the next time; a name is typed anew, since it is what confirms."""
        self._shell.asking.keep(self._draft, (self._reason_in(text) or "") if self._deed.asks_for_name else text)

    def _ask_again(self, text: str, error: BucketryError) -> None:
        """Ask the same about the version as it is by now, with the text as it was typed."""
        shell, row = self._shell, self._deed.row

        def opened(found: tuple[VersionLine, int]) -> None:
            deed = self._deed.again(*found)
            ActionPanel(shell, deed, typed=text, told=error.message, is_framed=self._is_framed).open()

        def failed(_: BucketryError) -> None:
            self._keep(text)
            shell.fail(error)

        shell.read("as-it-is", ("show", self._deed.reference), lambda session: _as_it_is(session, row), opened, failed)

    def _lines(self) -> tuple[Line, ...]:
        shell, deed = self._shell, self._deed
        width = shell.size.width - PANEL_COLUMNS
        changed = f"CHANGED MEANWHILE: {self._told}" if self._told else ""
        lines = [*flowing([Span(word, "bad") for word in changed.split()], width, between=" ")]
        lines += refusal_lines(self._refusal, width)
        if deed.serves is not None:
            age = age_text(deed.serves.since, shell.session.clock.now()) if deed.serves.since else ""
            for_long = ", since just now" if age == "now" else f", for {age}" if age else ""
            lines.append(line(Span(f"{deed.reference} is what {deed.serves.alias} names{for_long}", "strong")))
        for sentence in deed.means:
            lines += flowing(
                [replace(sentence, text=word) for word in sentence.text.split()], width, between=" ", indent=""
            )
        if deed.serves is not None:
            lines += flowing([Span("serves:", "dim"), *self._servers], width, between=" ")
        if deed.asks_for_name and not self._refusal:
            lines.append(reason_line(str(deed.row.model), self._kept, is_needed=deed.needs_text))
        return (*lines, line(Span("same as:  " + shell.command_line(*deed.words), "dim")))


def _as_it_is(session: Session, row: VersionLine) -> tuple[VersionLine, int]:
    """Return a version's line with the state that it has by now, and how far its model's history is."""
    head = load_existing_head(session, row.model)
    return replace(row, state=load_row(session, head, row.version).state), head.generation
