"""The tab of a version with who decided what about it, and whether it counts."""

from __future__ import annotations

from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.registry.review.standings import load_standing
from bucketry.show.reviews import counted_lines, standing_lines
from bucketry.show.spans import Line, line
from bucketry.tui.screens.version.tab import TabContent, TabRequest


def load_reviews(request: TabRequest) -> TabContent:
    """Return all decisions, oldest first, with what follows from them under the policy that holds now."""
    session, row = request.session, request.row
    head = load_existing_head(session, row.model)
    standing = load_standing(session, head, load_row(session, head, row.version))
    lines: list[Line] = [*standing_lines(standing, request.page, request.zone), line()]
    if standing.decisions:
        lines += counted_lines(standing, request.page, request.zone)
    else:
        lines.append(line("Nobody has decided anything about this version yet."))
        lines.append(line("R requests a review, A approves, X rejects with a reason, C comments."))
    return TabContent(tuple(lines))
