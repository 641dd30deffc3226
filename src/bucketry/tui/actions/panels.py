"""The panels of actions: a prompt that opens at once, and fills in while what the action depends on is read.

The registry's own rules are asked meanwhile. Where they forbid it the prompt says so and takes no answer; it stays
until esc, or else what is being typed would be taken for keys. What touches a version that serves for real asks for the
model's name, behind which a reason may follow. If somebody else was quicker, the prompt stays open with the text, and
says what changed. There is no answer before everything that the decision depends on is shown.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, ContendedError, CorruptError, RejectedError, UnavailableError
from bucketry.frozen import frozen
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.schema.text import displayable
from bucketry.show.figures import age_text
from bucketry.show.spans import Span, flowing, line
from bucketry.tui.actions.promotion_preview import read_servers, read_verdicts
from bucketry.tui.drawing.marks import PRODUCTION_NAMES, failure_words, is_production
from bucketry.tui.shell.asking import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.errors import BucketryError
    from bucketry.index.views import ListedAlias, VersionLine
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import AliasName, ModelName
    from bucketry.show.spans import Line
    from bucketry.tui.actions.promotion_preview import PromotionPreview
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
    the same action on the version as it is by now. `means` says what will follow, where it is to be shown. `serves`
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
    known = (*shell.source.aliases(row.model), *row.aliases)
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


def same_as(shell: Shell, *words: str) -> Line:
    """Return the command that does the same."""
    return line(Span(f"same as:  {shell.command_line(*words)}", "dim"))


def refusal_lines(refusal: str, width: int, *, indent: str = "") -> list[Line]:
    """Return what the registry would answer, in as many lines as it takes."""
    return _bad_lines(f"REFUSED: {displayable(refusal)}" if refusal else "", width, indent=indent)


def changed_lines(told: str, width: int) -> list[Line]:
    """Return what somebody else did meanwhile, if it is told."""
    return _bad_lines(f"CHANGED MEANWHILE: {told}" if told else "", width)


def how_long(shell: Shell, since: str) -> str:
    """Return for how long an alias has named what it names, behind what that is; "" where nobody knows."""
    age = age_text(since, shell.session.clock.now()) if since else ""
    return ", since just now" if age == "now" else f", for {age}" if age else ""


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
    panel = (*refusal_lines(failure_words(error), shell.size.width - PANEL_COLUMNS), *question.panel)
    shell.asking.revise(question, replace(question, panel=panel, why_not=lambda _: REFUSED))


class LivePanel(ABC):
    """The prompt of one action, for as long as it is asked for."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._servers: Sequence[Span] = READING
        self._question: Question

    @abstractmethod
    def open(self) -> None:
        """Ask, and begin to read what the action depends on."""

    @abstractmethod
    def _asked(self) -> Question:
        """Return the question, with all that is known by now."""

    def _read_servers(self, model: ModelName, alias: AliasName) -> None:
        """Read whom the action reaches."""
        self._shell.read(
            "servers",
            ("deployments", str(model)),
            lambda session: read_servers(session, model, alias),
            self._take_servers,
            lambda error: self._take_servers(_unread(error)),
        )

    def _take_servers(self, found: Sequence[Span]) -> None:
        self._servers = found
        self._redraw()

    def _redraw(self) -> None:
        """Show what is known by now, unless the question was answered or given up."""
        after = self._asked()
        if self._shell.asking.revise(self._question, after):
            self._question = after


class ActionPanel(LivePanel):
    """The prompt of what is done to one version. `is_framed`: a panel says which version is meant."""

    def __init__(
        self, shell: Shell, action: VersionAction, *, typed: str = "", told: str = "", is_framed: bool = False
    ) -> None:
        super().__init__(shell)
        self._action = action
        self._told = told
        self._is_framed = is_framed
        self._refusal = ""
        kept = "" if typed else shell.asking.drafts.pop(self._draft, "")
        self._kept = kept if action.asks_for_name else ""
        self._typed = typed or ("" if action.asks_for_name else kept)
        self._question = self._asked()

    @property
    def _draft(self) -> str:
        return f"{self._action.verb} {self._action.reference}"

    def open(self) -> None:
        """Ask, and look meanwhile whether it may be done and whom it reaches."""
        shell, action = self._shell, self._action
        shell.ask(self._question)
        shell.read(
            f"may-{action.verb}",
            ("show", action.reference),
            refusal_by(action.check),
            lambda refusal: None if refusal is None else self._refuse(refusal),
            self._refuse,
        )
        if action.serves is not None:
            self._read_servers(action.row.model, action.serves.alias)

    def _refuse(self, error: BucketryError) -> None:
        """Say what the answer would meet, and take none; what was answered already meets the same."""
        self._refusal = failure_words(error)
        self._redraw()

    def _asked(self) -> Question:
        action, model = self._action, self._action.row.model
        shows = bool(self._told or self._is_framed or action.asks_for_name or self._refusal)
        return Question(
            f"type  {model}  to {action.verb}:" if action.asks_for_name else action.label,
            self._answer,
            initial=self._typed,
            panel=self._lines() if shows else (),
            panel_title=f"{action.verb.upper()} {action.reference}{' PROD' if action.serves else ''}",
            is_production=action.asks_for_name,
            why_not=self._why_not,
            enter=action.verb,
        )

    def _why_not(self, text: str) -> str:
        if self._refusal:
            return REFUSED
        reason: str | None = text.strip()
        if self._action.asks_for_name:
            reason = self._reason_in(text)
        if reason is None:
            return "name differs"
        needed = "the reason is missing" if self._action.asks_for_name else "a text is needed"
        return needed if self._action.needs_text and not reason else ""

    def _answer(self, text: str) -> None:
        reason = self._reason_in(text) if self._action.asks_for_name else text.strip()

        def failed(error: BucketryError) -> None:
            if isinstance(error, ContendedError):
                self._ask_again(text, error)
            else:
                self._keep(text)
                self._shell.fail(error)

        self._action.go(reason or "", failed)

    def _reason_in(self, text: str) -> str | None:
        """Return the reason that follows the name, else the one that was kept, or None where the name differs."""
        reason = text_behind(str(self._action.row.model), text)
        return None if reason is None else reason or self._kept

    def _keep(self, text: str) -> None:
        """Keep what was typed for the next time; a name is typed anew, since it is what confirms."""
        self._shell.asking.keep(self._draft, (self._reason_in(text) or "") if self._action.asks_for_name else text)

    def _ask_again(self, text: str, error: BucketryError) -> None:
        """Ask the same about the version as it is by now, with the text as it was typed."""
        shell, row = self._shell, self._action.row

        def opened(found: tuple[VersionLine, int]) -> None:
            action = self._action.again(*found)
            ActionPanel(shell, action, typed=text, told=error.message, is_framed=self._is_framed).open()

        def failed(_: BucketryError) -> None:
            self._keep(text)
            shell.fail(error)

        def look(session: Session) -> tuple[VersionLine, int]:
            head = load_existing_head(session, row.model)
            return replace(row, state=load_row(session, head, row.version).state), head.generation

        shell.read("as-it-is", ("show", self._action.reference), look, opened, failed)

    def _lines(self) -> tuple[Line, ...]:
        shell, action = self._shell, self._action
        width = shell.size.width - PANEL_COLUMNS
        lines = changed_lines(self._told, width)
        lines += refusal_lines(self._refusal, width)
        if action.serves is not None:
            for_long = how_long(shell, action.serves.since)
            lines.append(line(Span(f"{action.reference} is what {action.serves.alias} names{for_long}", "strong")))
        for sentence in action.means:
            lines += flowing(
                [replace(sentence, text=word) for word in sentence.text.split()], width, between=" ", indent=""
            )
        if action.serves is not None:
            lines += flowing([Span("serves:", "dim"), *self._servers], width, between=" ")
        if action.asks_for_name and not self._refusal:
            lines.append(reason_line(str(action.row.model), self._kept, is_needed=action.needs_text))
        return (*lines, same_as(shell, *action.words))


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


class MovePanel(LivePanel):
    """The panel of one move of an alias."""

    def __init__(self, shell: Shell, move: Move, preview: PromotionPreview | None = None) -> None:
        super().__init__(shell)
        kept = "" if move.reason or move.typed else shell.asking.drafts.pop(move.draft, "")
        self._move = replace(move, reason=kept) if kept else move
        self._preview = preview
        self._verdicts: Sequence[Span] = READING
        self._fault = ""
        self._is_refused = False
        self._question = self._asked()

    def open(self) -> None:
        """Show the panel, ask, and begin to read."""
        shell, move = self._shell, self._move

        def failed(error: BucketryError) -> None:
            self._fault = failure_words(error)
            self._is_refused = not isinstance(error, UnavailableError | CorruptError)
            self._take_verdicts(())

        shell.ask(self._question)
        if self._preview is not None:
            self._take(self._preview)
        else:
            shell.read("preview", move.words, move.look, self._take, failed)
        self._read_servers(move.model, move.alias)

    def _take(self, preview: PromotionPreview) -> None:
        """Show what the move depends on, and read how the two versions compare."""
        self._preview = preview
        move = self._move
        if preview.now is None or preview.is_there:
            same = f"{move.alias} names v{preview.now} already" if preview.now else "it names nothing yet"
            self._take_verdicts((Span(same, "warn" if preview.now else "dim"),))
            return
        self._redraw()
        self._shell.read(
            "verdicts",
            ("diff", f"{move.model}@{move.alias}", f"{move.model}:{preview.version}"),
            lambda session: read_verdicts(session, move.model, preview.version, move.alias),
            self._take_verdicts,
            lambda error: self._take_verdicts(_unread(error)),
        )

    def _take_verdicts(self, found: Sequence[Span]) -> None:
        self._verdicts = found
        self._redraw()

    def _asked(self) -> Question:
        move, preview = self._move, self._preview
        serves = move.alias in PRODUCTION_NAMES or (preview is not None and preview.is_protected)
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
        if self._preview is not None:  # else the question takes no answer
            reason = text_behind(str(self._move.model), text) or self._move.reason
            self._move.go(self._preview, reason, text)

    def _why_not(self, text: str) -> str:
        if self._preview is None:
            return (REFUSED if self._is_refused else "cannot be read") if self._fault else "still reading"
        if self._preview.is_there:
            return "nothing to do"
        if self._preview.refusal:
            return REFUSED
        return "" if text_behind(str(self._move.model), text) is not None else "name differs"

    def _lines(self) -> tuple[Line, ...]:
        move, preview = self._move, self._preview
        width = self._shell.size.width - PANEL_COLUMNS
        is_refused = preview is not None and bool(preview.refusal) and not preview.is_there
        changed = changed_lines(move.told, width)
        if self._fault:  # nothing is known of where it would go
            fault = refusal_lines(self._fault, width) if self._is_refused else _bad_lines(self._fault, width)
            return (*changed, *fault)
        return (
            *changed,
            move.head(preview),
            *refusal_lines(preview.refusal if is_refused and preview else "", width),
            *flowing([Span("serves:", "dim"), *self._servers], width, between=" "),
            *flowing(list(self._verdicts), width, between="   ", indent=""),
            *(move.body(preview, width) if preview is not None else ()),
            *(() if is_refused else (reason_line(str(move.model), move.reason),)),
            *move.tail(preview),
        )


def _bad_lines(text: str, width: int, *, indent: str = " ") -> list[Line]:
    return flowing([Span(word, "bad") for word in text.split()], width, between=" ", indent=indent)


def _unread(error: BucketryError) -> Sequence[Span]:
    return (Span(f"cannot be read: {error.message}", "warn"),)
