"""Which value of a metric does each version have, also of one that is not among its headline metrics?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.registry.core.unreadable import UNREADABLE, reason_of
from bucketry.registry.versions.evaluations import load_evidence
from bucketry.schema.documents.evidence import headline_values
from bucketry.schema.judging.trend import Trend, make_trend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head, Row

MOST_LOOKED_INTO = 512
"""Of the versions whose row does not show the metric, so many of the newest have their evidence read."""


def load_trend(session: Session, head: Head, rows: Sequence[Row], metric: str) -> Trend:
    """Return the metric's value over the whole data in each row: from the row, else from the version's evidence.

    Costs nothing for versions that have it among their headline metrics; others take three reads each, many at once. A
    version whose evidence cannot be read stops no other.
    """
    without = sorted((row for row in rows if metric not in row.metrics), key=lambda row: -row.version)
    hidden = without[:MOST_LOOKED_INTO]
    looked_up = session.map_in_parallel(lambda row: _find_value(session, head, row, metric), hidden)
    read = {row.version: value for row, value in zip(hidden, looked_up, strict=True)}
    found = {version: value for version, value in read.items() if not isinstance(value, str)}
    damaged = {version: why for version, why in read.items() if isinstance(why, str)}
    values = [(row.version, row.metrics.get(metric, found.get(row.version))) for row in rows]
    return make_trend(metric, values, unread=len(without) - len(hidden), damaged=damaged)


def _find_value(session: Session, head: Head, row: Row, metric: str) -> float | str | None:
    """Return the value, None for a version without it, or why its evidence cannot be read."""
    try:
        return headline_values(load_evidence(session, head, row)).get(metric)
    except UNREADABLE as error:
        return reason_of(error)
