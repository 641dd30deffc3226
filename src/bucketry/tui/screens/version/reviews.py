"""Who decided what about a version, does it count, and if not, why not?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.registry.review.standings import load_standing
from bucketry.schema.documents.reviews import REFUSALS, Action
from bucketry.schema.judging.decisions import newest_approvals
from bucketry.tui.actions.deciding import SIGNED
from bucketry.tui.drawing.figures import NOTHING, count_of, shown_time
from bucketry.tui.drawing.paint import Line, Span, line
from bucketry.tui.drawing.text_lines import TextColumn, table_lines, wrapped
from bucketry.tui.screens.version.tab import TabContent, TabRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.registry.review.standings import Standing
    from bucketry.schema.documents.reviews import Decision, Statement
    from bucketry.tui.drawing.figures import Zone
    from bucketry.tui.drawing.paint import Role

NOTE_INDENT = 4
DIGEST_DIGITS = 12
SIGNED_MEANS = "SIGNED says that a signature lies beside the decision, not whose it is."
_HEADINGS = (
    TextColumn("DECISION", 8, 8),
    TextColumn("BY", 10, 40),
    TextColumn("WHEN", 17, 17),
    TextColumn("SIGNED", 6, 6),
    TextColumn("EXPIRES", 7, 17, rank=1),
    TextColumn("COUNTS", 6, 24),
)


def load_reviews(request: TabRequest) -> TabContent:
    """Return all decisions, oldest first, with what follows from them under the policy that holds now."""
    session, row, width = request.session, request.row, request.width
    head = load_existing_head(session, row.model)
    standing = load_standing(session, head, load_row(session, head, row.version))
    lines: list[Line] = [_verdict(standing), *_rules(standing, width, request.zone), line()]
    if not standing.decisions:
        lines.append(line("Nobody has decided anything about this version yet."))
        lines.append(line("R requests a review, A approves, X rejects with a reason, C comments."))
        return TabContent(tuple(lines))
    counting = _Counting(standing)
    table = table_lines(_HEADINGS, [counting.cells(each, request.zone) for each in standing.decisions], width)
    lines.append(table[0])
    for decision, shown in zip(standing.decisions, table[1:], strict=True):
        lines.append(shown)
        for note, role in counting.notes(decision):
            lines += wrapped(note, width, indent=NOTE_INDENT, role=role)
    lines += [line(), *wrapped(SIGNED_MEANS, width, role="dim")]
    return TabContent(tuple(lines))


def signature_span(decision: Decision) -> Span:
    """Return whether a signature lies beside a decision: `NO` only for one that is worth a signature."""
    if decision.is_signed:
        return Span("yes", "good")
    return Span("NO", "warn") if decision.statement.action in SIGNED else Span(NOTHING, "dim")


def _verdict(standing: Standing) -> Line:
    approvals, needed = standing.approvals, max(1, standing.approvals.required)
    have = f"{len(approvals.principals)} of {count_of(needed, 'approval')}"
    if approvals.refusals:
        refused = ", ".join(dict.fromkeys(approvals.refusals))
        return line(Span(f"Refused by {refused}", "bad"), Span(f": this stands, whoever approves ({have})"))
    if approvals.are_enough:
        return line(Span("Approved", "good"), Span(f": {have}"))
    return line(Span("Not approved", "warn"), Span(f": {have}"))


def _rules(standing: Standing, width: int, zone: Zone) -> Iterator[Line]:
    """Yield what the policy asks for."""
    policy, authorship = standing.policy, standing.authorship
    who = ", ".join(policy.reviewers) if policy.reviewers else "anybody"
    rules = [f"May decide: {who}."]
    if policy.separate_duties:
        author = authorship.signed or authorship.claimed
        rules.append(f"The author, {author}, may not approve.")
    if policy.signatures == "required":
        rules.append("Approvals must be signed.")
    if policy.approval_expires_days is not None:
        rules.append(f"Approvals end after {count_of(policy.approval_expires_days, 'day')}.")
    yield from wrapped(" ".join(rules), width, role="dim")
    if standing.approvals.expires is not None:
        yield line(Span(f"The first approval that counts ends {shown_time(standing.approvals.expires, zone)}.", "dim"))


class _Counting:
    """Which of the decisions count."""

    def __init__(self, standing: Standing) -> None:
        self._counted = frozenset(standing.approvals.principals)
        self._dropped = dict(standing.approvals.dropped)
        self._newest = {decision.sha256 for decision in newest_approvals(standing.decisions).values()}

    def cells(self, decision: Decision, zone: Zone) -> tuple[Span, ...]:
        said = decision.statement
        return (
            Span(said.action.value, "bad" if said.action in REFUSALS else "strong"),
            Span(said.principal),
            Span(shown_time(said.created, zone)),
            signature_span(decision),
            Span(shown_time(said.expires, zone) if said.expires else NOTHING),
            self._counts(decision),
        )

    def notes(self, decision: Decision) -> Iterator[tuple[str, Role]]:
        """Yield what stands below a decision: why it does not count, what it was given on, and the comment."""
        said = decision.statement
        why_not = self._why_not(decision)
        if why_not:
            yield f"does not count: {why_not}", "warn"
        if said.alias is not None:
            yield f"for {said.alias} only", "plain"
        seen = "; ".join(_shown_to(said))
        if seen:
            yield f"was shown {seen}", "dim"
        if said.comment.strip():
            yield said.comment.strip(), "plain"

    def _counts(self, decision: Decision) -> Span:
        action = decision.statement.action
        if action in REFUSALS:
            return Span("STOPS IT", "bad")
        if action is not Action.APPROVE:
            return Span(NOTHING, "dim")
        return Span("no", "warn") if self._why_not(decision) else Span("yes", "good")

    def _why_not(self, decision: Decision) -> str:
        said = decision.statement
        if said.action is not Action.APPROVE:
            return ""
        if decision.sha256 not in self._newest:
            return "a newer approval of the same person takes its place"
        return "" if said.principal in self._counted else self._dropped.get(said.principal, "")


def _shown_to(said: Statement) -> Iterator[str]:
    """Yield what is on record of what the person saw."""
    if said.evidence:
        yield count_of(len(said.evidence), "evaluation")
    if said.gates:
        held = sum(gate.get("passed") is True for gate in said.gates)
        yield f"{held} of {count_of(len(said.gates), 'gate')} held"
    if said.diff is not None:
        yield f"the comparison {said.diff[:DIGEST_DIGITS]}"
