"""What a change of a policy changes, in words, and which protection it takes away.

A rule that takes the place of a laxer one of its kind takes nothing away.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.documents.gates import (
    CardSections,
    EvidenceCount,
    Formats,
    Gate,
    MetricThreshold,
    NoWorse,
    PickleScan,
    gate_text,
)
from bucketry.schema.documents.policy import Policy, policy_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GATES = "gates"
NOTHING = "none"
EVERYBODY = "everybody"

_SETS_NOTHING = Policy(unset=frozenset(policy_document(Policy())))


@frozen
class PolicyChange:
    """One key, or one gate (`key` is then `gates`), before and after; None where it was not set."""

    key: str
    before: str | None
    after: str | None

    @property
    def text(self) -> str:
        """The change in words."""
        if self.key == GATES:
            return f"gate added: {self.after}" if self.before is None else f"gate removed: {self.before}"
        if self.before is None:
            return f"{self.key} set to {self.after}"
        return f"{self.key} no longer set, was {self.before}" if self.after is None else self._moved

    @property
    def _moved(self) -> str:
        return f"{self.key} changed from {self.before} to {self.after}"


def policy_changes(before: Policy | None, after: Policy | None) -> tuple[PolicyChange, ...]:
    """Return what differs between what two policies set, gate by gate; None sets nothing."""
    old, new = (settings_of(policy or _SETS_NOTHING) for policy in (before, after))
    changes = [PolicyChange(key, old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)]
    gone, come = (_gates_of(policy or _SETS_NOTHING) for policy in (before, after))
    changes += [PolicyChange(GATES, text, None) for text in gone if text not in come]
    changes += [PolicyChange(GATES, None, text) for text in come if text not in gone]
    return tuple(changes)


def settings_of(policy: Policy) -> Mapping[str, str]:
    """Return what a policy sets, in words, but for its gates."""
    return {name: _text(name, value) for name, value in policy_document(policy).items() if name != GATES}


def protection_removed(before: Policy, after: Policy) -> tuple[str, ...]:
    """Return what holds under one policy and no longer under another; both are whole, defaults filled in."""
    return (*_approvals_removed(before, after), *_gates_removed(before, after))


def _approvals_removed(before: Policy, after: Policy) -> Iterator[str]:
    for alias in before.protected_aliases:
        if alias not in after.protected_aliases:
            yield f"{alias} is no longer protected"
    if after.approvals_required < before.approvals_required:
        yield f"{after.approvals_required} approvals are required instead of {before.approvals_required}"
    if before.separate_duties and not after.separate_duties:
        yield "authors may approve what they published"
    if before.signatures == "required" and after.signatures != "required":
        yield "approvals need no signature"
    if before.reviewers and not after.reviewers:
        yield "everybody may decide, not only the reviewers"
    days = before.approval_expires_days
    if days is not None and (after.approval_expires_days is None or after.approval_expires_days > days):
        lasting = "for ever" if after.approval_expires_days is None else f"{after.approval_expires_days} days"
        yield f"approvals last {lasting} instead of {days} days"


def _gates_removed(before: Policy, after: Policy) -> Iterator[str]:
    for gate in before.gates:
        if not any(is_as_strict(other, gate) for other in after.gates):
            yield f"no such gate any more: {gate_text(gate)}"


def is_as_strict(other: Gate, gate: Gate) -> bool:
    """Return whether whatever passes `other` passes `gate` too, as far as that follows from their limits alone."""
    counts_wherever = not other.aliases or (bool(gate.aliases) and set(gate.aliases) <= set(other.aliases))
    return counts_wherever and _asks_as_much(other, gate)


def _asks_as_much(other: Gate, gate: Gate) -> bool:
    as_much = replace(other, aliases=gate.aliases) == gate
    match other, gate:
        case MetricThreshold(), MetricThreshold():
            low = _is_at_least(other.at_least, gate.at_least)
            as_much = low and _is_at_least(_negative(other.at_most), _negative(gate.at_most))
            as_much = as_much and other.selection == gate.selection
        case NoWorse(), NoWorse():
            same = replace(gate, tolerance=other.tolerance, aliases=other.aliases)
            as_much = other == same and other.tolerance <= gate.tolerance
        case EvidenceCount(), EvidenceCount():
            as_much = other.evidence == gate.evidence and other.at_least >= gate.at_least
        case CardSections(), CardSections():
            as_much = set(other.sections) >= set(gate.sections)
        case Formats(), Formats():
            as_much = set(other.formats) <= set(gate.formats)
        case PickleScan(), PickleScan():
            as_much = other.strict or not gate.strict
    return as_much


def _is_at_least(bound: float | None, wanted: float | None) -> bool:
    return wanted is None or (bound is not None and bound >= wanted)


def _negative(bound: float | None) -> float | None:
    return None if bound is None else -bound


def _gates_of(policy: Policy) -> list[str]:
    if GATES in policy.unset:
        return []
    return [gate_text(gate) for gate in policy.gates] or [NOTHING]


def _text(name: str, value: object) -> str:
    if name == "approval_expires_days" and value == 0:
        return "never"
    if name == "reviewers" and not value:
        return EVERYBODY
    if isinstance(value, list):
        return ", ".join(map(str, value)) or NOTHING
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
