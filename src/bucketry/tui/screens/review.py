"""What waits for a decision: first what the user may decide, then the rest, longest first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from bucketry.index.review_queue import WaitingVersion, load_review_queue
from bucketry.index.views import VersionLine, find_version_line
from bucketry.show.figures import NOTHING, count_of, time_text
from bucketry.show.gates import gate_words, gates_span
from bucketry.show.reviews import approved_text, waiting_columns, waiting_name
from bucketry.show.spans import Line, Span, line, wrapped
from bucketry.show.tables import Column
from bucketry.tui.actions.compare import COMPARE
from bucketry.tui.actions.version_commands import READ_COMMANDS, VERSION_COMMANDS
from bucketry.tui.screens.listing import COLUMNS, FINDING, MOVING
from bucketry.tui.screens.reading import LOOKING_AGAIN, ReadListView, ReadRows

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.tui.shell.commands import Command

MOST_COMMENTS = 8
_MINE = "you: you may decide about it, and have not yet"


class ReviewView(ReadListView[WaitingVersion]):
    """Everything that waits, first what the user may decide, then longest first."""

    CALLED = "what waits for a review (:r)"
    crumbs = ("review",)
    words = ("reviews",)

    COMMANDS: ClassVar[tuple[Command[ReviewView], ...]] = (
        *FINDING,
        *COLUMNS,
        COMPARE,
        *VERSION_COMMANDS,
        *READ_COMMANDS,
        *MOVING,
        *LOOKING_AGAIN,
    )

    @property
    def sort_values(self) -> Mapping[str, Callable[[WaitingVersion], Any]]:
        """What the columns sort by."""
        return {
            "mine": lambda row: row.mine,
            "approvals": lambda row: len(row.standing.approvals.principals) / max(1, row.standing.approvals.required),
            "what": lambda row: row.renewal,
            "version": lambda row: (str(row.model), row.standing.row.version),
            "waits": lambda row: row.since,
            "author": lambda row: row.standing.row.created_by,
            "asked": lambda row: row.asked_by,
            "gates": lambda row: sum(not gate.passed for gate in row.gates),
        }

    def columns(self) -> Sequence[Column[WaitingVersion]]:
        """Return the columns."""
        mine = Column[WaitingVersion](
            "mine", "FOR", lambda row: Span("you", "warn") if row.mine else NOTHING, 3, about=_MINE
        )
        return (mine, *waiting_columns(self.shell.session.clock.now()))

    @property
    def choice_key(self) -> str:
        """Under what the choice of columns is remembered."""
        return f"{self.shell.session.store.name} review"

    def key_of(self, row: WaitingVersion) -> Hashable:
        """Return the version's name."""
        return waiting_name(row)

    def read(self, session: Session) -> ReadRows[WaitingVersion]:
        """Return what waits; among equals the order stays, longest first."""
        queue = load_review_queue(session, index=self.shell.source.index)
        found = sorted(queue.waiting, key=lambda item: not item.mine)
        mine = sum(item.mine for item in found)
        told = f"{count_of(len(found), 'version')} {'waits' if len(found) == 1 else 'wait'}, {mine} for you."
        said = told if found else "nothing waits"
        missing = f"  Something may be missing: {queue.faults[0]}" if queue.faults else ""
        if queue.faults:  # what waits there is not in the list
            more = f" (and {count_of(len(queue.faults) - 1, 'other fault')})" if len(queue.faults) > 1 else ""
            return ReadRows(found, line(f"{said}  ", Span(f"{queue.faults[0]}{more}", "bad")))
        return ReadRows(found, line(Span(said, "warn" if mine else "plain"), Span(missing, "warn")))

    def texts(self, row: WaitingVersion) -> Mapping[str, str]:
        """Return what a filter finds."""
        return {
            "version": waiting_name(row),
            "for": "you" if row.mine else "others",
            "author": row.standing.row.created_by,
            "by": row.asked_by,
            "gates": gates_span(row.gates).text,
            "what": "renew" if row.renewal else "review",
        }

    def open_row(self, row: WaitingVersion) -> None:
        """Open the version."""
        self.open_version(row.model, row.standing.row.version)

    def empty_lines(self) -> Sequence[Line]:
        """Return that nothing waits, and how something comes to wait."""
        ask = self.shell.command_line("review", "request", "MODEL:VERSION")
        return (
            line("Nothing waits for a decision."),
            line("Ask for one:  ", Span("R", "accent"), " on a version, or  ", Span(ask, "accent")),
            line("h goes back, r looks again."),
        )

    def detail(self, row: WaitingVersion, width: int) -> Sequence[Line]:
        """Return who decided what, which gates hold, and what was said."""
        zone = self.shell.zone
        title = f"{waiting_name(row)}  waits since {time_text(row.since, zone)}, asked for by {row.asked_by}"
        lines: list[Line] = [
            line(Span(title, "strong")),
            *self._whose_turn(row, width),
            *self._approval_lines(row, width),
        ]
        for gate in sorted(row.gates, key=lambda gate: gate.passed):
            lines += wrapped(gate_words(gate), width, role="plain" if gate.passed else "bad")
        if not row.gates:
            lines.append(line(Span("gates  the policy has none", "dim")))
        told = [each.statement for each in row.standing.decisions if each.statement.comment]
        for each in reversed(told[-MOST_COMMENTS:]):
            lines += wrapped(f"{each.principal}, {each.action}: {each.comment}", width)
        return lines

    def _whose_turn(self, row: WaitingVersion, width: int) -> Sequence[Line]:
        why_not, me = self.shell.why_not_write(), self.shell.session.actor
        if row.mine and why_not:
            return wrapped(f"It waits for you, but {why_not}.", width, role="warn")
        if row.mine:
            return wrapped("It is your turn: A approves, X rejects with a reason, C comments.", width, role="warn")
        if me in row.standing.approvals.principals:
            said = "You approved it; it waits for others."
        elif row.standing.policy.separate_duties and row.standing.authorship.includes(me):
            said = "You made it; others decide about it."
        elif row.renewal:
            said = "It waits for those who approved it to do so again."
        else:
            said = "It is not yours to decide: the policy names others."
        return wrapped(said, width, role="dim")

    def _approval_lines(self, row: WaitingVersion, width: int) -> Sequence[Line]:
        approvals, policy = row.standing.approvals, row.standing.policy
        by = f", by {', '.join(approvals.principals)}" if approvals.principals else ""
        may = ", ".join(policy.reviewers) or "everybody"
        but = " but its authors" if policy.separate_duties else ""
        lines = wrapped(f"approved  {approved_text(row)}{by}; may decide: {may}{but}", width)
        for who, why in approvals.dropped:
            lines += wrapped(f"does not count  {who}: {why}", width, role="warn")
        if approvals.expires:
            ends = time_text(approvals.expires, self.shell.zone)
            lines += wrapped(f"the first approval ends {ends}", width, role="warn")
        return lines

    @property
    def version(self) -> VersionLine | None:
        """The version under the cursor in the state that the list shows it in: decisions are about that."""
        waiting = self.current
        if waiting is None:
            return None
        row = waiting.standing.row
        found = find_version_line(self.shell.source.index, waiting.model, row.version)
        return None if found is None else replace(found, state=row.state, manifest=row.manifest)
