"""What a check found, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from bucketry.maintenance.fsck.kinds import Grade, Kind


@frozen
class Finding:
    """One thing that is not as it should be: a sentence about the object at `key`, and what to do about it."""

    kind: Kind
    key: str
    message: str
    remedy: str

    @property
    def grade(self) -> Grade:
        """How bad it is."""
        return self.kind.grade


@dataclass(slots=True)
class Findings:
    """Findings as they are collected, in the order of discovery, each once."""

    found: dict[Finding, None] = field(default_factory=dict)

    def add(self, kind: Kind, key: str, message: str, **about: object) -> None:
        """Add a finding; `about` fills in what its kind's remedy names in braces."""
        self.found[Finding(kind, key, message, kind.value.remedy.format(**about))] = None

    def extend(self, others: Findings) -> None:
        """Add everything that another check found."""
        self.found.update(others.found)

    @property
    def has_damage(self) -> bool:
        """Whether anything found is damage."""
        return any(finding.grade == "damage" for finding in self.found)
