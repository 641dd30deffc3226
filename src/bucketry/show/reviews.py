"""What waits for a decision, who decided what, and whether it counts, in the words of both faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.schema.documents.reviews import REFUSALS, Action
from bucketry.schema.judging.decisions import newest_approvals
from bucketry.show.figures import DIGEST_DIGITS, NOTHING, age_text, count_of, parse_moment, span_text, time_text
from bucketry.show.gates import gates_span
from bucketry.show.spans import Line, Role, Span, TextPage, line, wrapped
from bucketry.show.tables import Column, TextColumn, text_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from bucketry.index.review_queue import WaitingVersion
    from bucketry.registry.review.standings import Standing
    from bucketry.schema.documents.reviews import Decision
    from bucketry.schema.judging.decisions import Approvals
    from bucketry.show.figures import Zone

SIGNED = frozenset({Action.APPROVE, Action.REJECT, Action.REVOKE})
"""What a policy may want signed."""
SIGNED_MEANS = "SIGNED says that a signature lies beside the decision, not whose it is."
NOTE_INDENT = 4
_DECISIONS = (
    TextColumn("DECISION", 8, 9),
    TextColumn("BY", 8, 24, rank=1),
    TextColumn("WHEN", 5, 5, right=True, rank=2),
    TextColumn("SIGNED", 6, 6, rank=3),
    TextColumn("COMMENT", 8, 200, rank=4),
)
_COUNTED = (
    TextColumn("DECISION", 8, 8),
    TextColumn("BY", 10, 40),
    TextColumn("WHEN", 17, 17),
    TextColumn("SIGNED", 6, 6),
    TextColumn("EXPIRES", 7, 17, rank=1),
    TextColumn("COUNTS", 6, 24),
)


def waiting_columns(now: datetime) -> tuple[Column[WaitingVersion], ...]:
    """Return the columns of what waits."""
    return (
        Column("version", "VERSION", lambda row: Span(waiting_name(row), "strong"), 18, 48),
        Column("waits", "WAITS", lambda row: age_text(row.since, now), 6, right=True),
        Column("approvals", "APPROVED", approved_text, 8, rank=1, about="that count, of those the policy asks for"),
        Column(
            "gates",
            "GATES",
            lambda row: gates_span(row.gates),
            12,
            14,
            about="how many of the policy's gates fail, else how many hold",
        ),
        Column("author", "AUTHOR", lambda row: row.standing.row.created_by, 10, 30, rank=2),
        Column("what", "WHAT", lambda row: wanted_text(row, now), 9, about="a review, or in how long an approval ends"),
        Column("asked", "ASKED BY", lambda row: row.asked_by, 12, 30, rank=3),
    )


def waiting_name(row: WaitingVersion) -> str:
    """Return the version that waits."""
    return f"{row.model}:{row.standing.row.version}"


def approved_text(row: WaitingVersion) -> str:
    """Return how many approvals count, of those that are needed."""
    approvals = row.standing.approvals
    return f"{len(approvals.principals)} of {max(1, approvals.required)}"


def wanted_text(row: WaitingVersion, now: datetime) -> str:
    """Return what is asked for: a review, or within how long an approval must be renewed."""
    ends = row.standing.approvals.expires
    if not row.renewal or ends is None:
        return "review"
    return f"renew {span_text((parse_moment(ends) - now).total_seconds())}"


def approvals_spans(approvals: Approvals) -> Iterator[Span]:
    """Yield how many approvals count of how many, whose does not and why, and who refused."""
    if approvals.required or approvals.principals:
        enough: Role = "good" if approvals.are_enough else "warn"
        yield Span(f"{len(approvals.principals)} of {count_of(max(1, approvals.required), 'approval')}", enough)
    if approvals.principals:
        yield Span(f"by {', '.join(approvals.principals)}")
    for principal, reason in approvals.dropped:
        yield Span(f"{principal} does not count: {reason}", "warn")
    for principal in approvals.refusals:
        yield Span(f"refused by {principal}", "bad")


def signature_span(decision: Decision) -> Span:
    """Return whether a signature lies beside a decision: `NO` only for one that is worth a signature."""
    if decision.is_signed:
        return Span("yes", "good")
    return Span("NO", "warn") if decision.statement.action in SIGNED else Span(NOTHING, "dim")


def decision_lines(decisions: Sequence[Decision], now: datetime, page: TextPage) -> list[Line]:
    """Return who decided what about a version, in a line each."""
    rows = [
        (
            said.action.value,
            said.principal,
            age_text(said.created, now),
            signature_span(decision),
            said.comment.replace("\n", " "),
        )
        for decision in decisions
        for said in (decision.statement,)
    ]
    return text_table(_DECISIONS, rows, page)


def standing_lines(standing: Standing, page: TextPage, zone: Zone) -> list[Line]:
    """Return whether a version is approved, and what the policy asks for."""
    approvals, needed = standing.approvals, max(1, standing.approvals.required)
    have = f"{len(approvals.principals)} of {count_of(needed, 'approval')}"
    if approvals.refusals:
        refused = ", ".join(dict.fromkeys(approvals.refusals))
        verdict = line(Span(f"Refused by {refused}", "bad"), Span(f": this stands, whoever approves ({have})"))
    elif approvals.are_enough:
        verdict = line(Span("Approved", "good"), Span(f": {have}"))
    else:
        verdict = line(Span("Not approved", "warn"), Span(f": {have}"))
    policy, authorship = standing.policy, standing.authorship
    rules = [f"May decide: {', '.join(policy.reviewers) if policy.reviewers else 'anybody'}."]
    if policy.separate_duties:
        rules.append(f"The author, {authorship.signed or authorship.claimed}, may not approve.")
    if policy.signatures == "required":
        rules.append("Approvals must be signed.")
    if policy.approval_expires_days is not None:
        rules.append(f"Approvals end after {count_of(policy.approval_expires_days, 'day')}.")
    lines = [verdict, *wrapped(" ".join(rules), page.width, role="dim")]
    if approvals.expires is not None:
        lines.append(line(Span(f"The first approval that counts ends {time_text(approvals.expires, zone)}.", "dim")))
    return lines


def counted_lines(standing: Standing, page: TextPage, zone: Zone) -> list[Line]:
    """Return all decisions, oldest first, each with whether it counts, and below it why not and what was said."""
    counting = _Counting(standing)
    table = text_table(_COUNTED, [counting.cells(each, zone) for each in standing.decisions], page)
    lines = [table[0]]
    for decision, shown in zip(standing.decisions, table[1:], strict=True):
        lines.append(shown)
        for note, role in counting.notes(decision):
            lines += wrapped(note, page.width, indent=NOTE_INDENT, role=role)
    return [*lines, line(), *wrapped(SIGNED_MEANS, page.width, role="dim")]


class _Counting:
    """Which of the decisions count."""

    def __init__(self, standing: Standing) -> None:
        self._counted = frozenset(standing.approvals.principals)
        self._dropped = dict(standing.approvals.dropped)
        self._newest = {decision.sha256 for decision in newest_approvals(standing.decisions).values()}

    def cells(self, decision: Decision, zone: Zone) -> tuple[Span, ...]:
        """Return a decision as a row."""
        said = decision.statement
        return (
            Span(said.action.value, "bad" if said.action in REFUSALS else "strong"),
            Span(said.principal),
            Span(time_text(said.created, zone)),
            signature_span(decision),
            Span(time_text(said.expires, zone) if said.expires else NOTHING),
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
        seen = [count_of(len(said.evidence), "evaluation")] if said.evidence else []
        if said.gates:
            held = sum(gate.get("passed") is True for gate in said.gates)
            seen.append(f"{held} of {count_of(len(said.gates), 'gate')} held")
        if said.diff is not None:
            seen.append(f"the comparison {said.diff[:DIGEST_DIGITS]}")
        if seen:
            yield f"was shown {'; '.join(seen)}", "dim"
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
