"""The one question that is being asked of the user, and what becomes of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.geometry import Size

    from bucketry.tui.shell.frame import Panel
    from bucketry.tui.shell.prompt import Notice
    from bucketry.tui.shell.prompts import Choice, Question


class AskingHost(Protocol):
    """What the questions need of the app."""

    @property
    def panel(self) -> Panel:
        """The box above the prompt."""

    @property
    def notice(self) -> Notice:
        """The line on which one types."""

    @property
    def size(self) -> Size:
        """The terminal's columns and rows."""


class Asking:
    """At most one question on the prompt's line, or one choice of keys."""

    def __init__(self, app: AskingHost) -> None:
        self._app = app
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
        app = self._app
        app.panel.show(question.panel_title, question.panel, is_production=question.is_production)
        app.notice.open(question.label, question.initial)
        self._check(question.initial)

    def revise(self, before: Question, question: Question) -> bool:
        """Ask the same in the light of what is known by now; what is being typed stays.

        Return whether `before` was still being asked; nothing is changed if it was not.
        """
        if self._question is not before:
            return False
        self._question = question
        app, notice = self._app, self._app.notice
        app.panel.show(question.panel_title, question.panel, is_production=question.is_production)
        self._check(notice.value)
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
        notice = self._app.notice
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
        notice = self._app.notice
        notice.insert(text)
        self.changed(notice.value)

    def remark(self, text: str) -> None:
        """Say something beside the text that is being typed, if one is."""
        if self._question is not None:
            self._app.notice.say(text)

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
        question, notice = self._question, self._app.notice
        if question is None or question.complete is None:
            return
        found = list(question.complete(notice.value))
        common = _common_beginning(found)
        if len(common) > len(notice.value):
            notice.set_value(common)
            self.changed(common)
        elif len(found) > 1:
            notice.say("  ".join(found)[: self._app.size.width // 2])

    def _check(self, text: str) -> None:
        if self._question is not None:
            self._app.notice.say(self._question.why_not(text))

    def _close(self) -> None:
        if self._question is None:
            return
        self._question = None
        app = self._app
        app.notice.close()
        app.panel.show("", (), is_production=False)


def _common_beginning(texts: list[str]) -> str:
    if not texts:
        return ""
    first, last = min(texts), max(texts)
    same = next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return first[: min(same, len(last))]
