"""Decides by retention rules which version is kept and why: a plan shows it, and each deletion asks it again."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.documents.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bucketry.schema.documents.head import Row
    from bucketry.schema.documents.retention import Retention


@frozen
class KnownUse:
    """What is known of a model's versions besides their rows: `needed` says in words who needs each.

    `newest` are the newest versions that the rules keep, `promoted` those that an alias ever named.
    """

    needed: Mapping[int, str] = field(default_factory=dict)
    newest: frozenset[int] = frozenset()
    promoted: frozenset[int] = frozenset()


@frozen
class Fate:
    """Whether a version is kept, and why, in words."""

    version: int
    is_kept: bool
    why: str


def decide_fate(rules: Retention, row: Row, use: KnownUse, now: datetime) -> Fate:
    """Return whether a version that is there is kept: the first reason to keep it, or what lets it go."""
    needed = use.needed.get(row.version, "")
    if row.state is State.DELETING:
        return Fate(row.version, bool(needed), needed or "its deletion was begun, and is finished")
    why = needed or next(_iter_reasons(rules, row, use, now), "")
    return Fate(row.version, bool(why), why or f"older than {rules.delete_after_days} days, and never served")


def _iter_reasons(rules: Retention, row: Row, use: KnownUse, now: datetime) -> Iterator[str]:
    """Yield each reason by which the rules keep a version."""
    if rules.delete_after_days == 0:
        yield "these rules delete nothing"
    if row.state is State.IN_REVIEW:
        yield "in review"
    if row.version in use.newest:
        yield f"one of the newest {rules.keep_newest}"
    if rules.keep_promoted and row.version in use.promoted:
        yield "was promoted"
    if rules.keep_approved and row.state is State.APPROVED:
        yield "approved"
    for label in rules.keep_labels:
        name, equals, value = label.partition("=")
        if name in row.labels and (not equals or row.labels[name] == value):
            yield f"has the label {label}"
    if now - datetime.fromisoformat(row.created_at) <= timedelta(days=rules.delete_after_days):
        yield f"not older than {rules.delete_after_days} days"
