"""The one question that is being asked of the user in a line, a text or one key of several, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from textual import events

    from bucketry.show.spans import Line
    from bucketry.tui.shell.frame import Notice, Panel


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


class Asking:
    """At most one question on the prompt's line, or one choice of keys."""

    def __init__(self, panel: Panel, notice: Notice) -> None:
        self._panel = panel
        self._notice = notice
        self._question: Question | None = None
        self._choice: Choice | None = None
        self.drafts: dict[str, str] = {}
        """What was typed for an action that then failed, by verb and object: nobody types a reason twice."""

    def keep(self, draft: str, text: str) -> None:
        """Keep what was typed for something that then failed, until it is asked for again."""
        if text.strip():
            self.drafts[draft] = text

    @property
    def has_question(self) -> bool:
        """Whether the keys belong to the prompt."""
        return self._question is not None

    def hints(self) -> Sequence[tuple[str, str]]:
        """Return the keys that answer the question and their words; without a question, none."""
        question = self._question
        if question is None:
            return ()
        moves = [("up/down", "choose")] if question.on_move is not None else []
        completes = [("tab", "complete")] if question.complete is not None else []
        return [("enter", question.enter), *moves, *completes, ("esc", "cancel")]

    def ask(self, question: Question) -> None:
        """Ask for a text."""
        self._question = question
        self._panel.show(question.panel_title, question.panel, is_production=question.is_production)
        self._notice.open(question.label, question.initial)
        self._check(question.initial)

    def revise(self, before: Question, question: Question) -> bool:
        """Ask the same in the light of what is known by now; what is being typed stays.

        Return whether `before` was still being asked; nothing is changed if it was not.
        """
        if self._question is not before:
            return False
        self._question = question
        self._panel.show(question.panel_title, question.panel, is_production=question.is_production)
        self._check(self._notice.value)
        return True

    def choose(self, choice: Choice) -> str:
        """Ask for one key of several; return what is to be said."""
        self._choice = choice
        return f"{choice.label}:  " + "  ".join(f"{key} {word}" for key, (word, _) in choice.options.items())

    def take_key(self, key: str) -> bool:
        """Give a key to the choice, if there is one; any key ends it. Return whether there was one."""
        choice, self._choice = self._choice, None
        if choice is None:
            return False
        if key in choice.options:
            choice.options[key][1]()
        return True

    def type_key(self, event: events.Key) -> None:
        """Give a key to the prompt."""
        notice = self._notice
        match event.key:
            case "escape" | "ctrl+c" | "ctrl+g":
                self.cancel()
            case "enter":
                self.answer(notice.value)
            case "tab":
                self.complete()
            case "up" | "down" if self._question is not None and self._question.on_move is not None:
                self._question.on_move(1 if event.key == "down" else -1)
            case _:
                if notice.take_key(event):
                    self.changed(notice.value)

    def paste(self, text: str) -> None:
        """Put a pasted text into the prompt."""
        self._notice.insert(text)
        self.changed(self._notice.value)

    def remark(self, text: str) -> None:
        """Say something beside the text that is being typed, if one is."""
        if self._question is not None:
            self._notice.say(text)

    def answer(self, text: str) -> None:
        """Take the answer, if it will do."""
        question = self._question
        if question is not None and not question.why_not(text):
            self._close()
            question.on_answer(text)

    def changed(self, text: str) -> None:
        """Say whether the answer will do, and tell who wants to follow it."""
        question = self._question
        if question is not None:
            self._check(text)
            if question.on_change is not None:
                question.on_change(text)

    def cancel(self) -> None:
        """Give no answer."""
        question = self._question
        self._close()
        if question is not None and question.on_cancel is not None:
            question.on_cancel()

    def complete(self) -> None:
        """Complete the text to what all possibilities begin with, or show them."""
        question, notice = self._question, self._notice
        if question is None or question.complete is None:
            return
        found = list(question.complete(notice.value))
        first, last = min(found, default=""), max(found, default="")
        # What these two begin with alike, all do that stand between them.
        common = next(first[:size] for size in range(len(first), -1, -1) if last.startswith(first[:size]))
        if len(common) > len(notice.value):
            notice.set_value(common)
            self.changed(common)
        elif len(found) > 1:
            notice.say("  ".join(found)[: notice.size.width // 2])

    def _check(self, text: str) -> None:
        if self._question is not None:
            self._notice.say(self._question.why_not(text))

    def _close(self) -> None:
        if self._question is None:
            return
        self._question = None
        self._notice.close()
        self._panel.show("", (), is_production=False)
