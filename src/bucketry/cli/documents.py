"""Which keys does `--json` have for the values that several commands show? Pure; the keys are a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.store.description import NotKnown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bucketry.index.review_queue import WaitingVersion
    from bucketry.maintenance.bundle.versions import BundledVersion
    from bucketry.maintenance.doctor.examine import Examination
    from bucketry.maintenance.gc.collection import CollectionReport
    from bucketry.maintenance.gc.garbage import Total
    from bucketry.maintenance.mirror.mirror import MirrorReport
    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.publishing.registration import RegisteredVersion
    from bucketry.registry.reading.pull import PulledVersion
    from bucketry.registry.review.reviewing import RecordedDecision
    from bucketry.registry.serving.alias_history import AliasEvent
    from bucketry.registry.serving.materialize import MaterializedVersion
    from bucketry.registry.versions.detail import VersionDetail
    from bucketry.registry.versions.listing import VersionSummary
    from bucketry.schema.documents.alias import AliasRegister, LastMove
    from bucketry.schema.documents.deployment import Deployment
    from bucketry.schema.documents.head import Row
    from bucketry.schema.documents.reviews import Decision
    from bucketry.schema.judging.decisions import Approvals
    from bucketry.schema.names import ModelName
    from bucketry.store.probe.probe import Check, ProbeReport

Document = dict[str, object]
VERSION_KEYS = (
    "version",
    "manifest",
    "state",
    "aliases",
    "created_at",
    "created_by",
    "size_bytes",
    "metrics",
    "labels",
    "base",
)
"""What each version of a list has, in their order."""
APPROVAL_KEYS = ("approvals", "required", "approved_by", "dropped", "refused_by", "expires")
WAITING_KEYS = ("model", "version", "manifest", "state", "since", "asked_by", "created_by", "mine", "renewal", "gates")
"""What each version of the review queue has."""


def aliases_document(registers: Iterable[AliasRegister]) -> list[Document]:
    """Return the aliases that name a version."""
    return [
        {
            "alias": register.alias,
            "version": register.target.version,
            "manifest": register.target.manifest,
            "generation": register.generation,
        }
        | moved_document(register.last_move)
        for register in registers
        if register.target is not None
    ]


def moved_document(move: LastMove | None) -> Document:
    """Return when and by whom an alias was moved last."""
    return {"since": move.at if move else None, "by": move.by if move else None}


def event_document(event: AliasEvent) -> Document:
    """Return one entry of an alias's history."""
    return (
        {
            "generation": event.generation,
            "at": event.at,
            "actor": event.actor,
            "action": event.action,
            "from": event.previous,
            "to": event.target,
            "reason": event.reason,
        }
        | ({} if event.undoes is None else {"undoes": event.undoes})
        | damaged_document(event.damaged)
    )


def version_document(summary: VersionSummary) -> Document:
    """Return one version of a list."""
    row = summary.row
    if row is None:
        unknown = dict.fromkeys(VERSION_KEYS)
        known = {"version": summary.version, "aliases": aliases_document(summary.aliases)}
        return unknown | known | damaged_document(summary.damaged)
    return {
        "version": row.version,
        "manifest": row.manifest,
        "state": row.state.value,
        "aliases": aliases_document(summary.aliases),
        "created_at": row.created_at,
        "created_by": row.created_by,
        "size_bytes": row.size_bytes,
        "metrics": dict(row.metrics),
        "labels": dict(row.labels),
        "base": row.base,
    } | damaged_document(summary.damaged)


def damaged_document(reason: str) -> Document:
    """Return what a row of a list says beside its usual keys where something of it cannot be read."""
    return {"damaged": reason} if reason else {}


def damaged_alias_document(alias: str, reason: str) -> Document:
    """Return an alias whose register cannot be read."""
    return {"alias": alias, "version": None, "manifest": None, "generation": None} | damaged_document(reason)


def detail_document(detail: VersionDetail) -> Document:
    """Return the manifest's own fields, and with them what is said of the version now.

    `manifest` is the digest, as everywhere; `labels` and `notes` are the present ones.
    """
    resolved, row = detail.resolved, detail.row
    return resolved.manifest.to_document() | {
        "model": str(resolved.model),
        "version": row.version,
        "manifest": row.manifest,
        "state": row.state.value,
        "size_bytes": row.size_bytes,
        "metrics": dict(row.metrics),
        "labels": dict(row.labels),
        "notes": detail.dossier.notes or detail.resolved.manifest.notes,
        "evidence": list(detail.evidence),
        "reviews": [decision_document(decision) for decision in detail.reviews],
        "approval": approvals_document(detail.approvals) if detail.approvals is not None else None,
        "aliases": aliases_document(detail.aliases),
    }


def decision_document(decision: Decision) -> Document:
    """Return one decision. `signed` says that a signature lies beside it, not whose it is."""
    statement = decision.statement
    return {
        "action": statement.action.value,
        "principal": statement.principal,
        "created": statement.created,
        "expires": statement.expires,
        "alias": statement.alias,
        "comment": statement.comment,
        "signed": decision.is_signed,
        "manifest": statement.manifest,
        "id": decision.sha256,
    }


def approvals_document(approvals: Approvals) -> Document:
    """Return how far a version is from being approved."""
    return {
        "approvals": len(approvals.principals),
        "required": approvals.required,
        "approved_by": list(approvals.principals),
        "dropped": [{"principal": principal, "reason": reason} for principal, reason in approvals.dropped],
        "refused_by": list(approvals.refusals),
        "expires": approvals.expires,
    }


def decided_document(decided: RecordedDecision) -> Document:
    """Return what a decision did."""
    return approvals_document(decided.approvals) | {
        "model": str(decided.model),
        "version": decided.version,
        "manifest": decided.manifest,
        "action": decided.action.value,
        "principal": decided.principal,
        "state": decided.state.value,
        "reached": list(decided.reached),
    }


def waiting_document(item: WaitingVersion) -> Document:
    """Return one version of the queue."""
    row = item.standing.row
    return approvals_document(item.standing.approvals) | {
        "model": str(item.model),
        "version": row.version,
        "manifest": row.manifest,
        "state": row.state.value,
        "since": item.since,
        "asked_by": item.asked_by,
        "created_by": row.created_by,
        "mine": item.mine,
        "renewal": item.renewal,
        "gates": [gate.to_document() for gate in item.gates],
    }


def damaged_waiting_document(model: ModelName, version: int, reason: str) -> Document:
    """Return a version of which nobody can say whether it waits."""
    unknown = dict.fromkeys((*APPROVAL_KEYS, *WAITING_KEYS))
    return unknown | {"model": str(model), "version": version} | damaged_document(reason)


def row_document(model: ModelName, row: Row, registers: Sequence[AliasRegister] = ()) -> Document:
    """Return a version after a change to it."""
    return {
        "model": str(model),
        "version": row.version,
        "manifest": row.manifest,
        "state": row.state.value,
        "labels": dict(row.labels),
        "aliases": aliases_document(registers),
    }


def resolved_document(resolved: ResolvedVersion) -> Document:
    """Return what a reference names."""
    return {
        "model": str(resolved.model),
        "version": resolved.version,
        "manifest": resolved.digest,
        "state": resolved.state.value,
        "alias": resolved.alias,
        "generation": resolved.generation,
        "size_bytes": resolved.size_bytes,
    }


def registered_document(done: RegisteredVersion) -> Document:
    """Return what a publish did."""
    return {
        "model": str(done.model),
        "version": done.version,
        "manifest": done.manifest,
        "size_bytes": done.size_bytes,
        "uploaded_bytes": done.uploaded_bytes,
        "reused_bytes": done.reused_bytes,
        "created": done.created,
        "same_files_as": done.same_files_as,
        "files_left_out": list(done.files_left_out),
        "not_known": list(done.not_known),
    }


def pulled_document(pulled: PulledVersion) -> Document:
    """Return what a pull did."""
    return {
        "path": str(pulled.path.absolute()),
        "model": str(pulled.resolved.model),
        "version": pulled.resolved.version,
        "manifest": pulled.resolved.digest,
        "size_bytes": pulled.size_bytes,
        "fetched_bytes": pulled.fetched_bytes,
        "reused_bytes": pulled.reused_bytes,
        "seconds": pulled.seconds,
        "verify": pulled.verify,
        "state": pulled.resolved.state.value,
        "refusals": [refusal.to_document() for refusal in pulled.refusals],
    }


def materialized_document(done: MaterializedVersion) -> Document:
    """Return where a version's files lie under their own names."""
    return {
        "uri": done.uri,
        "model": str(done.resolved.model),
        "version": done.resolved.version,
        "manifest": done.resolved.digest,
        "files": [file.to_document() for file in done.files],
        "size_bytes": done.size_bytes,
        "copied_bytes": done.copied_bytes,
    }


def bundled_document(one: BundledVersion) -> Document:
    """Return one version of a bundle."""
    return {
        "model": str(one.model),
        "version": one.row.version,
        "manifest": one.row.manifest,
        "state": one.row.state.value,
        "size_bytes": one.row.size_bytes,
        "here": one.is_here,
    }


def deployment_document(deployment: Deployment) -> dict[str, object]:
    """Return what an instance reported."""
    return {
        "model": str(deployment.model),
        "version": deployment.version,
        "manifest": deployment.manifest,
        "alias": deployment.alias,
        "generation": deployment.generation,
        "environment": deployment.place.environment,
        "instance": deployment.place.instance,
        "actor": deployment.actor,
        "at": deployment.at,
        "pulled_at": deployment.pulled_at,
        "verified": deployment.verified,
        "files": deployment.files,
        "size_bytes": deployment.size_bytes,
        "complete": deployment.complete,
        "client": deployment.client,
    }


def collection_document(done: CollectionReport) -> Document:
    """Return what a garbage collection freed, or would free: of the objects and of the models the first thousand."""
    return {
        "applied": done.applied,
        "freed_bytes": done.total.size_bytes if done.applied else 0,
        "plan": [
            {"model": each.model or None, "key": each.key, "bytes": each.size_bytes, "reason": each.reason.value}
            for each in done.found
        ],
        "by_reason": {reason.value: total_document(total) for reason, total in done.by_reason.items()},
        "by_model": [
            {"model": model or None, "reason": reason.value} | total_document(total)
            for (model, reason), total in done.largest
        ],
        "kept_by_grace": total_document(done.waiting),
        "left_alone": [{"model": each.model, "reason": each.reason} for each in done.left_alone],
        "models": done.models,
        "walked": done.walked,
    }


def total_document(total: Total) -> Document:
    """Return how many objects there are, and their bytes."""
    return {"objects": total.objects, "bytes": total.size_bytes}


def mirror_document(report: MirrorReport) -> Document:
    """Return what a mirror did, or would do."""
    return {
        "registry": report.registry,
        "selection": report.selection.to_document(),
        "models": report.models,
        "registers": report.registers,
        "copied_objects": report.copied_objects,
        "copied_bytes": report.copied_bytes,
        "skipped_objects": report.skipped_objects,
        "unverified_objects": report.unverified_objects,
        "pruned_objects": report.pruned_objects,
        "pruned_bytes": report.pruned_bytes,
        "complete": report.complete,
        "failures": [
            {"what": failure.what, "kind": failure.error.kind, "message": failure.error.message}
            for failure in report.failures
        ],
    }


def conformance_document(probed: ProbeReport) -> Document:
    """Return what a probe of the store found."""
    return {
        "endpoint": probed.endpoint,
        "server": probed.server_product,
        "passed": probed.passed,
        "clock_skew_seconds": probed.clock_skew_seconds,
        "checks": [check_document(check) for check in probed.checks],
    }


def examination_document(found: Examination) -> Document:
    """Return what `doctor` found; without a probe, `passed` is null. `findings` ask for something to be done."""
    probe: Document = {"endpoint": found.endpoint, "server": found.health.product, "passed": None, "checks": []}
    probe["clock_skew_seconds"] = found.health.clock_skew_seconds
    kinds = (*found.rights.kinds, found.rights.protected)
    examined = [
        {"name": each.name, "grade": each.grade, "message": each.message, "advice": each.advice}
        for each in found.findings
    ]
    settings = found.description
    return (probe if found.probe is None else conformance_document(found.probe)) | {
        "examined": examined,
        "findings": [each for each in examined if each["grade"] in {"warning", "failure"}],
        "rights": [
            {"prefix": kind.prefix, **{right: _known(answer) for right, answer in kind.rights.items()}}
            for kind in kinds
        ],
        "roles": [role.name for role in found.rights.roles],
        "bucket": None
        if settings is None
        else {
            "versioning": _known(settings.versioning),
            "object_lock": _known(settings.object_lock),
            "encryption": _known(settings.encryption),
            "has_policy": None if isinstance(settings.policy, NotKnown) else bool(settings.policy),
            "lifecycle_rules": None if isinstance(settings.lifecycle, NotKnown) else len(settings.lifecycle),
        },
        "latency_seconds": found.health.median_seconds,
        "poll": {
            "seconds": found.poll.seconds,
            "not_modified": found.poll.is_answered_short,
            "polls_a_month": found.poll.polls_a_month,
            "usd_a_month": found.poll.usd_a_month,
        },
        "bytes_per_second": None
        if found.throughput is None
        else {"up": found.throughput.up, "down": found.throughput.down},
    }


def _known(answer: object) -> object:
    return None if isinstance(answer, NotKnown) else answer


def check_document(check: Check) -> Document:
    """Return what was found about one promise."""
    return {"name": check.name, "promise": check.promise, "passed": check.passed, "detail": check.detail}
