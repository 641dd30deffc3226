"""A record of the audit trail in words: what was done, to what, and what else it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.schema.documents.audit import AuditAction
from bucketry.show.figures import count_of
from bucketry.show.spans import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.registry.serving.auditing import Audit, AuditEntry
    from bucketry.schema.names import ModelName

TELLS_ALIAS = frozenset({AuditAction.RECHECK_PROMOTIONS, AuditAction.UPDATE_STATE})
"""The actions by which an alias notes what became of a version."""
NAMES_VERSION = frozenset({"from", "to"})
"""What an alias's record says of the versions that it named."""
LONGEST_VERSION = 16


def action_span(entry: AuditEntry) -> Span:
    """Return what was done; in brackets what an operation noted by itself."""
    record = entry.record
    return Span(f"({record.action})", "dim") if record.is_internal else Span(record.action, "strong")


def target_text(model: ModelName | None, entry: AuditEntry) -> str:
    """Return what a record is about: `acme/chat:7`, `acme/chat@production -> v7`, or the registry."""
    target, version = entry.record.target, target_version(entry)
    if model is None:
        return f"the registry (check {target})" if target else "the registry"
    if entry.alias is not None:
        named = f"{model}@{entry.alias}"
        if version is not None and entry.record.action in TELLS_ALIAS:
            return f"{named} (v{version})"
        return f"{named} -> v{version}" if version is not None else f"{named} {target}".strip()
    if entry.record.action == AuditAction.CREATE_ALIAS:
        return f"{model}@{target}"
    return f"{model}:{version}" if version is not None else f"{model} {target}".strip()


def detail_text(entry: AuditEntry, reason: str = "") -> str:
    """Return what else a record says, `reason` first: its own, or the long one that it only names."""
    known = {name: value for name, value in entry.record.detail.items() if name not in {"note", "reason"}}
    told = [
        f"{name} {f'v{value}' if name in NAMES_VERSION else value}"
        for name, value in known.items()
        if value is not None
    ]
    return "  ".join([*([reason] if reason else []), *told])


def own_reason(entry: AuditEntry) -> str:
    """Return the reason that a record itself gives."""
    reason = entry.record.detail.get("reason", "")
    return reason if isinstance(reason, str) else ""


def target_version(entry: AuditEntry) -> int | None:
    """Return the version that a record is about, None where it is about something else."""
    target = entry.record.target
    return int(target) if target.isascii() and target.isdecimal() and len(target) < LONGEST_VERSION else None


def whole_span(audits: Sequence[Audit]) -> Span:
    """Return whether every chain of some trails holds."""
    faults = [fault for audit in audits for fault in audit.faults]
    if faults:
        more = f" (and {count_of(len(faults) - 1, 'other fault')})" if len(faults) > 1 else ""
        return Span(f"BROKEN: {faults[0]}{more}", "bad")
    records = sum(len(audit.entries) for audit in audits)
    chains = len({(audit.model, entry.alias) for audit in audits for entry in audit.entries})
    return Span(f"verified: {count_of(records, 'record')} in {count_of(chains, 'chain')}, none broken", "good")
