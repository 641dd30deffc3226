"""What the move of an alias would change, whom it would reach, and what speaks for it: read, then said in lines."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bucketry.errors import RejectedError
from bucketry.frozen import frozen
from bucketry.registry.core.registers import load_alias, load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.registry.reading.compare import find_comparison
from bucketry.registry.review.gating import check_version_gates, known_gates
from bucketry.registry.review.standings import check_approved, load_standing, refuse_failed_gates
from bucketry.registry.serving.aliases import load_rollback_target
from bucketry.registry.serving.deployments import list_deployments
from bucketry.schema.documents.deployment import DeploymentStanding
from bucketry.schema.documents.reviews import Action
from bucketry.schema.documents.states import State, check_servable
from bucketry.schema.judging.gate_checks import is_unread
from bucketry.show.comparison import verdict_pieces
from bucketry.show.figures import count_of, time_text
from bucketry.show.gates import MOST_FAILED_TOLD, failed_gate_lines, more_failed
from bucketry.show.spans import Span, TextPage, flowing, line
from bucketry.show.states import state_word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.registry.review.standings import Standing
    from bucketry.schema.documents.gates import GateResult
    from bucketry.schema.documents.head import Head
    from bucketry.schema.judging.gate_checks import ScanReport
    from bucketry.schema.names import AliasName, ModelName
    from bucketry.show.figures import Zone
    from bucketry.show.spans import Line, Role

MOST_NAMES = 4
"""Of metrics under one verdict, and of environments that serve; how many more there are is said."""


@frozen
class PromotionPreview:
    """What is known of a version that an alias may name next.

    `now` is what the alias names, since when. `refusal` is what the registry would answer to the move, or "". `gates`
    are those before this alias, but for a pickle scan that nobody made yet: `waits_for_scan`. `scan` is what a scan
    found, if there was one.
    """

    alias: AliasName
    version: int
    state: State
    now: int | None
    since: str
    standing: Standing
    gates: tuple[GateResult, ...]
    waits_for_scan: bool
    scan: ScanReport | None
    refusal: str = ""

    @property
    def is_protected(self) -> bool:
        """Whether the alias names approved versions only."""
        return self.alias in self.standing.policy.protected_aliases

    @property
    def is_there(self) -> bool:
        """Whether the alias names the version already."""
        return self.now == self.version


def read_preview(
    session: Session, model: ModelName, version: int, alias: AliasName, *, gated: bool = True
) -> PromotionPreview:
    """Read what a promotion depends on; files are not scanned for it, which would read whole ones.

    A move back to what the alias named before is not `gated`.
    """
    register = load_alias(session, model, alias).state
    head = load_existing_head(session, model)
    row = load_row(session, head, version)
    standing = load_standing(session, head, row, alias=alias)
    results = check_version_gates(session, head, row, alias=alias, scan=False, contents=True)
    known = tuple(result for result in results if not is_unread(result))
    scan = session.scans.get(row.manifest)
    moved = register.last_move if register is not None else None
    return PromotionPreview(
        alias=alias,
        version=version,
        state=row.state,
        now=register.target.version if register is not None and register.target is not None else None,
        since=moved.at if moved else "",
        standing=standing,
        gates=known,
        waits_for_scan=any(is_unread(result) for result in results),
        scan=scan,
        refusal=_refusal(head, standing, alias, known if gated else ()),
    )


def read_rollback(session: Session, model: ModelName, alias: AliasName) -> PromotionPreview:
    """Read to which version a rollback would go, and what is known of it."""
    return read_preview(session, model, load_rollback_target(session, model, alias).version, alias, gated=False)


def read_refusals(
    session: Session, model: ModelName, version: int, aliases: Sequence[AliasName]
) -> Mapping[AliasName, str]:
    """Read to which of these aliases the registry would not promote a version, and why not."""
    head = load_existing_head(session, model)
    row = load_row(session, head, version)
    found: dict[AliasName, str] = {}
    for alias in aliases:
        standing = load_standing(session, head, row, alias=alias)
        is_protected = alias in standing.policy.protected_aliases
        gates = known_gates(session, head, row, alias=alias) if is_protected else ()
        refusal = _refusal(head, standing, alias, gates)
        if refusal:
            found[alias] = refusal
    return found


def _refusal(head: Head, standing: Standing, alias: AliasName, gates: Sequence[GateResult]) -> str:
    """Return what the registry would answer to a move, by its own checks, or ""."""
    row = standing.row
    try:
        check_servable(row.version, row.state)
        if alias in standing.policy.protected_aliases:
            check_approved(head, standing, alias)
            refuse_failed_gates(row, gates, "promoted")
    except RejectedError as error:
        return f"{error.message}; {error.advice}"
    return ""


def read_servers(session: Session, model: ModelName, alias: AliasName) -> Sequence[Span]:
    """Read who reported to serve what the alias names, or named: by environment."""
    found = [
        item
        for item in list_deployments(session, model).observed
        if item.deployment is not None
        and item.deployment.alias == alias
        and item.standing is not DeploymentStanding.DAMAGED
    ]
    counts = Counter(item.deployment.place.environment for item in found if item.deployment is not None)
    late = sum(item.standing is not DeploymentStanding.CURRENT for item in found)
    if not found:
        return (Span("nobody reported to follow it", "dim"),)
    told = [
        f"{name} ({count_of(count, 'instance')})" if count > 1 else name
        for name, count in counts.most_common(MOST_NAMES)
    ]
    more = f" and {len(counts) - MOST_NAMES} more" if len(counts) > MOST_NAMES else ""
    serve = "serves" if late == 1 else "serve"
    behind = (Span(f"({late} of {len(found)} {serve} something else now)", "warn"),) if late else ()
    return (Span(", ".join(told) + more), *behind)


def read_verdicts(session: Session, model: ModelName, version: int, alias: AliasName) -> Sequence[Span]:
    """Read how a version compares with what the alias names: a piece for each verdict."""
    head = load_existing_head(session, model)
    diff = find_comparison(session, head, load_row(session, head, version), alias)
    if diff is None:
        return (Span("nothing else to compare it with", "dim"),)
    if not diff.metrics:
        return (Span("no metric was measured of either", "warn"),)
    return verdict_pieces(diff)


def promotion_lines(preview: PromotionPreview, width: int, zone: Zone, now: str) -> list[Line]:
    """Return what speaks for a promotion: gates, approvals, signature, scan."""
    failed = [gate for gate in preview.gates if not gate.passed]
    passed, count = len(preview.gates) - len(failed), len(preview.gates)
    gates = Span(f"gates: {passed} of {count}", "bad" if failed else "good") if count else Span("gates: none", "dim")
    pieces = [gates, *_approvals(preview, zone, now, width), _signed(preview), _scan(preview)]
    lines = [
        *flowing(pieces, width, between="   ", indent=""),
        *(each for gate in failed[:MOST_FAILED_TOLD] for each in failed_gate_lines(gate, TextPage(width))),
    ]
    if len(failed) > MOST_FAILED_TOLD:
        lines.append(line(Span(more_failed(len(failed) - MOST_FAILED_TOLD), "bad")))
    return lines


def rollback_lines(preview: PromotionPreview, width: int, zone: Zone, now: str) -> list[Line]:
    """Return what is known of the version that a rollback goes to."""
    state = Span(
        f"v{preview.version} is {state_word(preview.state)}", "good" if preview.state is State.APPROVED else "warn"
    )
    pieces = [state, *_approvals(preview, zone, now, width), _signed(preview), _scan(preview)]
    return flowing(pieces, width, between="   ", indent="")


def _approvals(preview: PromotionPreview, zone: Zone, now: str, width: int) -> list[Span]:
    """Return who approved when, and how many of how many that are; in a piece for each where one line is too short."""
    approvals, required = preview.standing.approvals, preview.standing.policy.approvals_required
    if approvals.refusals:
        return [Span(f"REFUSED by {', '.join(approvals.refusals)}", "bad")]
    at = {
        decision.statement.principal: decision.statement.created
        for decision in preview.standing.decisions
        if decision.statement.action is Action.APPROVE
    }
    today = time_text(now, zone).partition(" ")[0]

    def when(name: str) -> str:
        day, _, clock = time_text(at[name], zone).partition(" ")
        return clock if day == today else day

    who = [f"{name} {when(name)}" for name in approvals.principals if name in at]
    is_enough = approvals.are_enough or not required
    missing = 0 if is_enough else max(0, required - len(who))
    count = f" ({len(who)} of {required}{f', {missing} MISSING' if missing else ''})" if required else ""
    if not who:
        return [Span(f"approved by: nobody{count}", "dim" if is_enough else "bad")]
    role: Role = "good" if is_enough else "bad"
    whole = f"approved by: {', '.join(who)}{count}"
    if len(whole) <= width:
        return [Span(whole, role)]
    *others, last = (f"{'' if place else 'approved by: '}{name}" for place, name in enumerate(who))
    return [*(Span(f"{name},", role) for name in others), Span(f"{last}{count}", role)]


def _signed(preview: PromotionPreview) -> Span:
    by = preview.standing.authorship.signed
    return Span(f"signed: yes, {by}", "good") if by else Span("signed: NO", "warn")


def _scan(preview: PromotionPreview) -> Span:
    if preview.scan is not None:
        unsafe = sum(bool(file.fault_if(strict=False)) for file in preview.scan.files)
        return Span(f"scan: {count_of(unsafe, 'file')} UNSAFE", "bad") if unsafe else Span("scan: clean", "good")
    if preview.waits_for_scan:
        return Span("scan: made before it moves", "warn")
    return Span("scan: not asked for", "dim")
