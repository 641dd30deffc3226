"""Checks that each policy is there that a register names or named, and knows which one held when."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.maintenance.fsck.reading import DocumentFault, read_named, report
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.policy import DEFAULT_POLICY, Policy, decode_policy
from bucketry.schema.names import parse_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bucketry.maintenance.fsck.findings import Findings
    from bucketry.schema.documents.audit import Record
    from bucketry.schema.names import Digest
    from bucketry.store.contract import Store


@dataclass(slots=True)
class PolicyShelf:
    """The policies of a registry, each read once however many models have it.

    `defaults` are all that ever were the registry's default, or None where that cannot be known.
    """

    store: Store
    defaults: tuple[Policy, ...] | None = None
    _read: dict[Digest, Policy | DocumentFault] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, digest: Digest, findings: Findings) -> Policy | None:
        """Return a policy that a register names; where it is not what it must be, that is damage."""
        key = keys.policy(digest)
        with self._lock:
            if digest not in self._read:
                self._read[digest] = read_named(self.store, key, digest, partial(decode_policy, what=key))
        return report(findings, Kind.POLICY_LOST, key, "a policy that a register names", self._read[digest])

    def has_read(self, digest: Digest) -> bool:
        """Return whether a register named a policy, so that it was looked at."""
        with self._lock:
            return digest in self._read

    def over_defaults(self, own: Sequence[Policy | None]) -> tuple[Policy, ...] | None:
        """Return every policy that may have held for a model that had these; None where one is not known."""
        if self.defaults is None or None in own:
            return None
        known = [policy for policy in own if policy is not None]
        return (*self.defaults, *(policy.over(default) for policy in known for default in self.defaults))

    def set_defaults(self, policies: Iterable[Policy | None]) -> None:
        """Remember what ever was the default; one that cannot be read makes them unknown."""
        known = list(policies)
        self.defaults = None if None in known else (DEFAULT_POLICY, *(policy for policy in known if policy is not None))


@frozen
class PolicyChanges:
    """At which generations of a register which policy was set, oldest first; None where a record does not say."""

    changes: tuple[tuple[int, Digest | None], ...]
    now: Digest | None

    def named(self) -> list[Digest]:
        """Return every policy that the register names or named, each once."""
        return list(dict.fromkeys(digest for digest in (*(d for _, d in self.changes), self.now) if digest is not None))

    @property
    def are_all_named(self) -> bool:
        """Whether every change says which policy it set."""
        return all(digest is not None for _, digest in self.changes)

    def held_at(self, generation: int) -> tuple[Digest | None, bool]:
        """Return the policy that the commit of a generation was decided by, and whether that is known at all."""
        before = [digest for at, digest in self.changes if at < generation]
        if len(before) == len(self.changes):
            return self.now, True
        return (before[-1], before[-1] is not None) if before else (None, True)


def read_policy_changes(key: str, records: Sequence[Record], now: Digest | None, findings: Findings) -> PolicyChanges:
    """Return the history of a register's policy; where it contradicts itself or the register, that is damage."""
    changes: list[tuple[int, Digest | None]] = []
    for record in records:
        if record.action != AuditAction.SET_POLICY:
            continue
        named = record.detail.get("policy")
        digest = None
        if named is not None:
            try:
                digest = parse_digest(str(named))
            except UsageError:
                findings.add(
                    Kind.AUDIT_CHAIN_BROKEN,
                    key,
                    f"The audit record of generation {record.generation} names no valid policy.",
                )
        changes.append((record.generation, digest))
    last = changes[-1][1] if changes else None
    if (last is not None and last != now) or (now is not None and not changes):
        kind = Kind.REGISTRY_CONTRADICTION if key == keys.REGISTRY else Kind.HEAD_CONTRADICTION
        findings.add(kind, key, "The policy that is set is not the one that the audit records say.")
    return PolicyChanges(tuple(changes), now)
