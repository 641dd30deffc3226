"""Two to four versions beside each other: how they differ, and whether the one under the cursor may go on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from bucketry.index.views import find_version_line
from bucketry.show.comparison import hidden_count, verdict_counts, worse_slices
from bucketry.show.comparison_screen import (
    SORTINGS,
    ComparisonState,
    foci,
    focus_place,
    focused_metric,
    metric_places,
    screen_lines,
)
from bucketry.show.comparison_text import comparison_markdown
from bucketry.show.figures import count_of
from bucketry.show.spans import Span, flowing, line
from bucketry.tui.actions.compare import compare_typed
from bucketry.tui.actions.download import DOWNLOAD
from bucketry.tui.actions.version_commands import VERSION_COMMANDS
from bucketry.tui.data.comparisons import (
    read_comparison,
    read_trend,
    with_aliases,
    with_next_baseline,
)
from bucketry.tui.drawing.lineview import LinkedLineView
from bucketry.tui.drawing.pager import CARD
from bucketry.tui.screens.text import SCROLLING, TextView
from bucketry.tui.shell.commands import Command
from bucketry.tui.shell.frame import OneLine
from bucketry.tui.shell.view import LOADING_WORD_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from bucketry.errors import BucketryError
    from bucketry.index.views import VersionLine
    from bucketry.schema.judging.trend import Trend
    from bucketry.schema.names import Digest, Reference
    from bucketry.show.comparison import ShownComparison
    from bucketry.show.spans import Line
    from bucketry.tui.shell.view import Shell

_AFTER = dict(zip(SORTINGS, (*SORTINGS[1:], SORTINGS[0]), strict=True))
LINES_BROUGHT_UP = 7
"""Of the slices of a metric that is opened: the worst ones, or a trend."""


class CompareView(TextView):
    """A comparison. The first reference is the baseline, until `b` chooses another.

    What is done here is done to the version whose column is under the cursor: the newest but the baseline at first,
    then whichever `<` and `>` choose. It stays on that version until `b` makes it the baseline.
    """

    CALLED = "a comparison (= on versions)"

    def __init__(self, shell: Shell, references: Sequence[Reference]) -> None:
        super().__init__(shell)
        self.text: LinkedLineView = LinkedLineView(shell.painter)
        self.references = tuple(references)
        self.compared: ShownComparison | None = None
        self.look = ComparisonState()
        self._head = OneLine(shell.painter)
        self._places: dict[int, str] = {}
        self._problem = ""
        self._outcome: list[Span] = []
        self._row: VersionLine | None = None
        self._column: int | None = None

    def compose(self) -> ComposeResult:
        """Lay out which versions are compared, and the text."""
        yield self._head
        yield self.text

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Where this is."""
        models = dict.fromkeys(str(reference.model) for reference in self.references)
        return (*(models if len(models) == 1 else ()), "compare")

    @property
    def notice(self) -> Line:
        """What went wrong, else how many got better or worse and whether gates stand in the way."""
        if self._problem and self.compared is not None:  # else it stands in place of the comparison
            return line(" ", Span(self._problem, "bad"))
        if self.compared is None:
            return ()
        fitting = flowing(self._outcome, self.size.width - 2)
        return line(" ", *fitting[0]) if fitting else ()

    @property
    def has_nothing(self) -> bool:
        """Whether there is no comparison yet."""
        return self.compared is None

    @property
    def version(self) -> VersionLine | None:
        """The version whose column is under the cursor."""
        return self._row

    @property
    def version_name(self) -> str:
        """How that version is called here."""
        return self.compared.names[self._column] if self.compared is not None and self._column is not None else ""

    @property
    def shown_comparison(self) -> Digest | None:
        """The digest of what is on the screen."""
        return self.compared.digest if self.compared is not None else None

    def why_no_version(self) -> str:
        """Return why the version under the cursor cannot be acted on."""
        name = self.version_name
        return f"{name} is not in the lists here (r looks again)" if name else self._why_not()

    def shown(self) -> None:
        """Read the versions, if they were not."""
        if self.compared is None:
            self.set_timer(LOADING_WORD_SECONDS, self._say_loading)
            self._read()
        else:
            self.draw(keep_place=False)

    def data_changed(self) -> None:
        """Read the versions again."""
        self._find_row()
        self._read()

    # Reading

    def _read(self) -> None:
        shell, references, with_tensors = self.shell, self.references, self.look.with_tensors
        column = self._column
        about = references[column] if column is not None else None

        def done(compared: ShownComparison) -> None:
            if (references, column) != (self.references, self._column):  # another was chosen meanwhile
                self._read()
                return
            self._problem = ""
            self._column = compared.newest
            self._take(compared)
            self._find_row()
            self.show_as(trends={})
            self._read_trend()

        def failed(error: BucketryError) -> None:
            self._problem = f"{error.message}; {error.remedy or 'r tries again'}"
            if self.compared is None:
                advice = [line("  ", error.remedy)] if error.remedy else []
                said = [line("  ", Span(error.message, "bad")), *advice, line("  r tries again, h goes back.")]
                self.text.show([line(), *said])

        shell.read(
            f"compare-{id(self)}",
            ("diff", *map(str, references), *(("--tensors",) if with_tensors else ())),
            lambda session: with_aliases(
                read_comparison(session, references, with_tensors=with_tensors, about=about), shell.source.index
            ),
            done,
            failed,
        )

    def _read_trend(self) -> None:
        compared = self.compared
        metric = focused_metric(compared, self.look.focus) if compared is not None else ""
        if compared is None or not metric or metric in self.look.trends:
            return
        model = compared.diff.versions[compared.newest].model

        def done(trend: Trend) -> None:
            self.show_as(trends={**self.look.trends, metric: trend})

        def failed(error: BucketryError) -> None:
            self._problem = f"the trend of {metric}: {error.message}; r tries again"

        self.shell.read(
            f"compare-trend-{id(self)}",
            ("versions", str(model), "--metric", metric, "--plot"),
            lambda session: read_trend(session, model, metric),
            done,
            failed,
        )

    def _say_loading(self) -> None:
        if self.compared is None and not self._problem:
            names = " and ".join(map(str, self.references))
            self.text.show([line(), line(Span(f"  Reading {names} ...", "dim"))])

    def _take(self, compared: ShownComparison) -> None:
        """Keep a comparison, and in short what came of it."""
        self.compared = compared
        failed, slices, counts = len(compared.failed), worse_slices(compared), verdict_counts(compared)
        self._outcome = [Span(f"Promote is blocked by {count_of(failed, 'gate')}.", "bad")] if failed else []
        self._outcome += [Span(f"{count_of(slices, 'slice')} WORSE.", "bad")] if slices else []
        about = f"{compared.names[compared.other + 1]}: " if len(compared.diff.others) > 1 else ""
        self._outcome += [Span(f"{about}{counts}.")] if counts else []

    # Showing

    def draw(self, *, keep_place: bool = True) -> None:
        """Lay out the comparison in its look."""
        if self.compared is None or not self.size.width or not self.is_attached:
            return
        width = max(20, self.size.width - 2)
        self.look = replace(self.look, column=self._column)
        self._head.show(_head_line(self.compared, self.look))
        lines = screen_lines(self.compared, self.look, width, self.shell.painter.page)
        self._places = metric_places(self.compared, self.look, width)
        self.text.show_linked([line(" ", *shown) for shown in lines], self._places, keep_place=keep_place)
        self.shell.update_frame()

    def show_as(self, *, keep_place: bool = True, **look: Any) -> None:  # noqa: ANN401 - what the look has
        """Show the comparison in another look."""
        self.look = replace(self.look, **look)
        self.draw(keep_place=keep_place)

    def focus_slices(self, step: int) -> None:
        """Show the next slices or trend, or those before."""
        if self.compared is not None:
            self.show_as(focus=(self.look.focus + step) % len(foci(self.compared)))
            self._read_trend()

    def _metric(self) -> str:
        """Return the metric under the cursor, or ""."""
        return self._places.get(self.text.chosen, "") if self.text.chosen is not None else ""

    def _open_metric(self, _: str) -> None:
        if self.compared is None:
            return
        names = [name for _, name in foci(self.compared)]
        self.show_as(focus=names.index(self._metric()))
        place = focus_place(self.text.lines)
        if place is not None:
            self.text.reveal(place, LINES_BROUGHT_UP)
        self._read_trend()

    def _next_baseline(self, _: str) -> None:
        """Make the next version the baseline; the one that was goes to the end."""
        compared, shell = self.compared, self.shell
        if compared is None:
            return

        def done(turned: ShownComparison) -> None:
            if self.compared is not compared:  # it was read anew meanwhile
                return
            self.references = (*self.references[1:], self.references[0])
            self._column = turned.newest or turned.other + 1
            self._take(turned)
            self._find_row()
            self.show_as(focus=0)
            self._read_trend()
            if self._column != turned.newest:
                self._read()  # how the version stands that came under the cursor

        shell.background.start(f"compare-turn-{id(self)}", lambda: with_next_baseline(compared), done, shell.fail)

    def choose(self, step: int) -> None:
        """Put the cursor on the column of the version before or after."""
        if self._column is not None:
            self._column = (self._column + step) % len(self.references)
            self._find_row()
            self.draw()
            self._read()  # how that version stands

    def _read_tensors(self, _: str) -> None:
        self.show_as(with_tensors=True)
        self._read()

    def _copy(self, _: str) -> None:
        compared, with_unchanged, shell = self.compared, self.look.with_unchanged, self.shell
        if compared is None:
            return

        shell.background.start(
            f"copy-{id(self)}",
            lambda: "\n".join(comparison_markdown(compared, with_unchanged=with_unchanged)) + "\n",
            lambda text: shell.copy(text, told=f"{count_of(text.count(chr(10)), 'line')} of Markdown"),
            shell.fail,
        )

    # Deciding

    def _find_row(self) -> None:
        """Find the version that actions are about: the one whose column is under the cursor."""
        if self.compared is not None and self._column is not None:
            subject = self.compared.diff.versions[self._column]
            self._row = find_version_line(self.shell.source.index, subject.model, subject.version)

    def _why_not(self) -> str:
        return "" if self.compared is not None else "nothing is compared yet"

    def _why_no_focus(self) -> str:
        return self._why_not() or (
            "" if self.compared and len(foci(self.compared)) > 1 else "there are no other slices"
        )

    COMMANDS: ClassVar[tuple[Command[CompareView], ...]] = (
        Command(
            "open",
            ("enter", "l"),
            "Show the slices and the trend of the metric",
            _open_metric,
            lambda self: "" if self._metric() else "the cursor is on no metric",
            group="Move",
        ),
        Command(
            "previous-column",
            ("<",),
            "Choose the version before",
            lambda view, _: view.choose(-1),
            _why_not,
            group="Compare",
        ),
        Command(
            "next-column",
            (">",),
            "Choose the next version: A, X, P and d are about it",
            lambda view, _: view.choose(1),
            _why_not,
            group="Compare",
        ),
        Command(
            "baseline", ("b",), "Make the next version the baseline", _next_baseline, _why_not, "baseline", "Compare"
        ),
        Command(
            "unchanged",
            ("z",),
            "Hide or show what is the same",
            lambda view, _: view.show_as(with_unchanged=not view.look.with_unchanged, keep_place=False),
            _why_not,
            lambda view: "hide same" if view.look.with_unchanged else "show same",
            "Compare",
        ),
        Command(
            "sort",
            ("s",),
            "Sort by verdict, name or change",
            lambda view, _: view.show_as(sorting=_AFTER[view.look.sorting]),
            _why_not,
            "sort",
            "Compare",
        ),
        Command(
            "next-slices",
            ("tab", "]"),
            "Next slices or trend",
            lambda view, _: view.focus_slices(1),
            _why_no_focus,
            "slices",
            "Compare",
        ),
        Command(
            "previous-slices",
            ("shift+tab", "["),
            "Slices or trend before",
            lambda view, _: view.focus_slices(-1),
            _why_no_focus,
            group="Compare",
        ),
        Command(
            "tensors",
            ("x",),
            "Compare the tensors, too",
            _read_tensors,
            lambda self: self._why_not() or ("they were read already" if self.look.with_tensors else ""),
            group="Compare",
        ),
        Command("markdown", ("y",), "Copy as Markdown", _copy, _why_not, "copy", "Read"),
        Command(
            "compare",
            (),
            "Compare other versions, the baseline first",
            lambda view, text: compare_typed(view.shell, view.references[0].model, text),
            group="Go",
            argument="VERSION VERSION",
        ),
        *VERSION_COMMANDS,
        DOWNLOAD,
        CARD,
        *SCROLLING,
    )


def _head_line(compared: ShownComparison, look: ComparisonState) -> Line:
    """Return which versions are compared, what is hidden of them, and in which order the rest stands."""
    spans = [Span(" base ", "dim")]
    for place, name in enumerate(compared.names):
        alias = compared.aliases[place]
        spans += [Span(" -> " if place == 1 else ", ", "dim")] if place else []
        spans.append(Span(f"{name}{f' * {alias}' if alias else ''}", "title"))
    hidden = hidden_count(compared)
    if hidden and not look.with_unchanged:
        spans.append(Span(f"   changed only: {hidden:,} same hidden", "dim"))
    return (*spans, Span(f"   sorted by {look.sorting}", "dim"))
