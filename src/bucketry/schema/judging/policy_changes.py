"""What did a change of a policy change, in words?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.documents.gates import gate_text
from bucketry.schema.documents.policy import Policy, policy_document

if TYPE_CHECKING:
    from collections.abc import Mapping

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
