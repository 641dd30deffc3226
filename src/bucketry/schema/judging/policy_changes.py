"""What a change of a policy changes, in words, and which protection it takes away.

A rule that takes the place of a laxer one of its kind takes nothing away.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from bucketry.frozen import frozen
from bucketry.schema.documents.gates import (
    CardSections,
    EvidenceCount,
    Formats,
    Gate,
    MetricThreshold,
    NoWorse,
    PickleScan,
    UnknownGate,
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
        if self.after is None:
            return f"{self.key} no longer set, was {self.before}"
        return f"{self.key} changed from {self.before} to {self.after}"


def policy_changes(before: Policy | None, after: Policy | None) -> tuple[PolicyChange, ...]:
    """Return what differs between what two policies set, gate by gate; None sets nothing."""
    old, new = (settings_of(policy or _SETS_NOTHING) for policy in (before, after))
    changes = [PolicyChange(key, old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)]
    gone, come = (
        [] if policy is None or GATES in policy.unset else [gate_text(gate) for gate in policy.gates] or [NOTHING]
        for policy in (before, after)
    )
    changes += [PolicyChange(GATES, text, None) for text in gone if text not in come]
    changes += [PolicyChange(GATES, None, text) for text in come if text not in gone]
    return tuple(changes)


def settings_of(policy: Policy) -> Mapping[str, str]:
    """Return what a policy sets, in words, but for its gates."""
    settings = {}
    for name, value in policy_document(policy).items():
        if name == GATES:
            continue
        if name == "approval_expires_days" and value == 0:
            settings[name] = "never"
        elif name == "reviewers" and not value:
            settings[name] = EVERYBODY
        elif isinstance(value, list):
            settings[name] = ", ".join(map(str, value)) or NOTHING
        else:
            settings[name] = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return settings


def protection_removed(before: Policy, after: Policy) -> tuple[str, ...]:
    """Return what holds under one policy and no longer under another; both are whole, defaults filled in."""
    gone = [gate for gate in before.gates if not any(is_as_strict(other, gate) for other in after.gates)]
    return (*_approvals_removed(before, after), *(f"no such gate any more: {gate_text(gate)}" for gate in gone))


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


def is_as_strict(other: Gate, gate: Gate) -> bool:  # noqa: PLR0911 - one for each kind of gate
    """Return whether whatever passes `other` passes `gate` too, as far as that follows from their limits alone."""
    if other.aliases and not (gate.aliases and set(gate.aliases) <= set(other.aliases)):
        return False  # it does not count wherever the gate does
    match gate:
        case MetricThreshold(selection, low, high):
            return (
                isinstance(other, MetricThreshold)
                and other.selection == selection
                and (low is None or (other.at_least is not None and other.at_least >= low))
                and (high is None or (other.at_most is not None and other.at_most <= high))
            )
        case NoWorse(tolerance=tolerance):
            same = replace(other, aliases=gate.aliases)
            return (
                isinstance(same, NoWorse) and same.tolerance <= tolerance and replace(same, tolerance=tolerance) == gate
            )
        case EvidenceCount(kind, at_least):
            return isinstance(other, EvidenceCount) and other.evidence == kind and other.at_least >= at_least
        case CardSections(sections):
            return isinstance(other, CardSections) and set(other.sections) >= set(sections)
        case Formats(formats):
            return isinstance(other, Formats) and set(other.formats) <= set(formats)
        case PickleScan(strict):
            return isinstance(other, PickleScan) and (other.strict or not strict)
        case UnknownGate():
            return replace(other, aliases=gate.aliases) == gate
        case _:
            assert_never(gate)
