"""One version: its tabs, each read when it is first opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bucketry.index.views import find_version_line
from bucketry.show.spans import Span, line, wrapped
from bucketry.tui.actions.compare import COMPARE
from bucketry.tui.actions.version_commands import READ_COMMANDS, VERSION_COMMANDS
from bucketry.tui.drawing.lineview import LinkedLineView
from bucketry.tui.drawing.marks import alias_span
from bucketry.tui.screens.listing import next_key
from bucketry.tui.screens.text import SCROLLING, TextView
from bucketry.tui.screens.version.tabs import TABS, TabContent, TabRequest
from bucketry.tui.shell.commands import Command
from bucketry.tui.shell.frame import OneLine
from bucketry.tui.shell.view import LOADING_WORD_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from bucketry.errors import BucketryError
    from bucketry.index.views import VersionLine
    from bucketry.show.spans import Line
    from bucketry.tui.shell.view import Shell


def _opens(tab: int) -> Callable[[VersionView, str], None]:
    """Return what opens a tab by its position."""
    return lambda view, _: view.open_tab(tab)


class VersionView(TextView):
    """One version."""

    CALLED = "a version (enter on one)"

    def __init__(self, shell: Shell, row: VersionLine, *, tab: int = 0) -> None:
        super().__init__(shell)
        self.row = row
        self.tab = tab
        self.text = self._linked = LinkedLineView(shell.painter)
        self._bar = OneLine(shell.painter)
        self._made: dict[tuple[int, int], TabContent] = {}
        self._fresh: set[tuple[int, int]] = set()
        self._content = TabContent(())
        self._problem = ""
        self._only_changed = False

    def compose(self) -> ComposeResult:
        """Lay out the tabs and the text."""
        yield self._bar
        yield self.text

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Where this is."""
        return (str(self.row.model), f"v{self.row.version}")

    @property
    def notice(self) -> Line:
        """What went wrong, else which aliases name the version."""
        if self._problem and self._content.lines:
            return line(" ", Span(self._problem, "bad"))
        return line(" ", alias_span(self.row.aliases)) if self.row.aliases else ()

    @property
    def version(self) -> VersionLine | None:
        """The version that is shown."""
        return self.row

    def shown(self) -> None:
        """Fill the tab that is open; who comes back finds it as it was."""
        self._bar.show(self._tab_line())
        self.draw(keep_place=bool(self.text.lines))

    def open_tab(self, tab: int) -> None:
        """Open a tab by its position; beyond the ends, from the other side."""
        self.tab = tab % len(TABS)
        self._problem = ""
        self._bar.show(self._tab_line())
        self.draw(keep_place=False)

    def data_changed(self) -> None:
        """Read the version again."""
        row = find_version_line(self.shell.source.index, self.row.model, self.row.version)
        if row is not None:
            self.row = row
        self._fresh.clear()  # what was made stays, for as long as nothing better comes
        self.draw()

    def draw(self, *, keep_place: bool = True) -> None:
        """Show the tab that is open, and read it if that was not done for this width."""
        width = max(20, self.size.width - 2)
        if not self.is_attached or not self.size.width:
            return
        where = (self.tab, width)
        made = self._made.get(where)
        if made is not None:
            self._show(made, keep_place=keep_place)
            if where in self._fresh:
                return
            keep_place = True
        tab, shell, row = TABS[self.tab], self.shell, self.row
        if not keep_place:
            self._content = TabContent(())
            self._linked.show_linked((), ())
        if not self.text.lines:
            self.set_timer(LOADING_WORD_SECONDS, lambda: self._say_loading(where))

        def done(content: TabContent) -> None:
            self._problem = ""
            self._made[where] = content
            self._fresh.add(where)
            if (self.tab, max(20, self.size.width - 2)) == where:
                self._show(content, keep_place=keep_place)

        def failed(error: BucketryError) -> None:
            self._problem = f"{tab.title}: {error.message}; r tries again"
            self._say_failure(error, width)

        shell.read(
            f"tab-{id(self)}",
            tab.words(row),
            lambda session: tab.load(
                TabRequest(
                    session, shell.source.index, row, width, shell.zone, shell.painter.ascii_only, self._only_changed
                )
            ),
            done,
            failed,
        )

    def _say_failure(self, error: BucketryError, width: int) -> None:
        """Say why a tab cannot be shown; where the version itself is damaged, that is noted for every list."""
        if self.tab == 0:  # the other tabs read more than this version
            self.shell.source.note_damage(self.row, error)
        if not self._content.lines:
            said = wrapped(error.message, width - 2, role="bad") + wrapped(error.remedy, width - 2)
            self.text.show([line(), *(line("  ", *each) for each in said), line(f"  {next_key(error)}.")])

    def _show(self, content: TabContent, *, keep_place: bool) -> None:
        self._content = content
        self._linked.show_linked([line(" ", *shown) for shown in content.lines], content.links, keep_place=keep_place)
        self.shell.update_frame()

    def _open(self, _: str) -> None:
        chosen = self._linked.chosen
        if chosen is not None and chosen in self._content.links:
            self._content.links[chosen](self.shell)

    def _flip(self, _: str) -> None:
        """Make the tab anew, without or with what is the same."""
        self._only_changed = not self._only_changed
        self._made = {where: made for where, made in self._made.items() if where[0] != self.tab}
        self._fresh = {where for where in self._fresh if where[0] != self.tab}
        self.draw()

    def _say_loading(self, where: tuple[int, int]) -> None:
        if where not in self._made and not self.text.lines and self.tab == where[0]:
            self.text.show([line(), line(Span(f"  Reading {self.row.model}:{self.row.version} ...", "dim"))])

    def _tab_line(self) -> Line:
        spans: list[Span] = [Span(" ")]
        for number, tab in enumerate(TABS):
            here = number == self.tab
            spans.append(
                Span(
                    f"[{number + 1} {tab.title}]" if here else f" {number + 1} {tab.title} ", "title" if here else "dim"
                )
            )
        return tuple(spans)

    COMMANDS: ClassVar[tuple[Command[VersionView], ...]] = (
        Command(
            "open",
            ("enter", "l", "right"),
            "Open",
            _open,
            lambda self: "" if self._linked.chosen in self._content.links else "this line opens nothing",
            lambda self: "open" if self._content.links else "",
            "Go",
        ),
        Command("next-tab", ("]",), "Next tab", lambda view, _: view.open_tab(view.tab + 1), hint="tab", group="Tabs"),
        Command("previous-tab", ("[",), "Tab before", lambda view, _: view.open_tab(view.tab - 1), group="Tabs"),
        *(
            Command(f"tab-{number}", (str(number),), f"Tab {tab.title}", _opens(number - 1), group="Tabs")
            for number, tab in enumerate(TABS, 1)
        ),
        Command(
            "unchanged",
            ("z",),
            "Hide or show what is the same as in production",
            _flip,
            lambda view: "" if TABS[view.tab].compares else "nothing here stands next to another version",
            group="Read",
        ),
        *READ_COMMANDS,
        COMPARE,
        *VERSION_COMMANDS,
        *SCROLLING,
    )
