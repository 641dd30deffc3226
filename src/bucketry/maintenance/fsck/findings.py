"""What a check found, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bucketry.frozen import frozen

Severity = Literal["damage", "unfinished", "garbage"]


@frozen
class Finding:
    """One thing that is not as it should be, in one sentence about the object at `key`.

    Damage is a state that no crash and no race can leave behind, and what cannot be read, so that nobody can say
    whether it is right. Unfinished is a legal state that a crash left, and that a person must end: its problem says
    what to run. Garbage is a legal leftover that only takes room.
    """

    severity: Severity
    key: str
    problem: str


@dataclass(slots=True)
class Findings:
    """Findings as they are collected, in the order of discovery, each once."""

    found: dict[Finding, None] = field(default_factory=dict)

    def damage(self, key: str, problem: str) -> None:
        """Add a finding of damage."""
        self.found[Finding("damage", key, problem)] = None

    def unfinished(self, key: str, problem: str) -> None:
        """Add a finding of something that was begun and not ended."""
        self.found[Finding("unfinished", key, problem)] = None

    def garbage(self, key: str, problem: str) -> None:
        """Add a finding of garbage."""
        self.found[Finding("garbage", key, problem)] = None

    def extend(self, others: Findings) -> None:
        """Add everything that another check found."""
        self.found.update(others.found)

    @property
    def has_damage(self) -> bool:
        """Whether anything found is damage."""
        return any(finding.severity == "damage" for finding in self.found)
