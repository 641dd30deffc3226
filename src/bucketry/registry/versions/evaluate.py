"""Adds evidence to a version after it was published.

Each evaluation is written create-only, named by the SHA-256 of its bytes, and cited by the version's dossier, which the
commit of the head replaces: which evidence a gate sees is thus decided by that commit. What is there already, whoever
added it and whether it came with the publish, is not added again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import RejectedError, UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.commit import Change
from bucketry.registry.core.immutable import Immutable
from bucketry.registry.core.registers import AlreadyDoneError, ensure_head, existing_head
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.core.rows import load_added_evidence, load_dossier, load_row, replace_dossier
from bucketry.registry.review.policies import load_policy
from bucketry.schema import keys
from bucketry.schema.arguments import plain_evidence
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.dossier import Citation
from bucketry.schema.documents.evidence import decode_evidence, encode_evidence, headline_values, is_repeated
from bucketry.schema.documents.head import fit_metrics
from bucketry.schema.documents.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.dossier import Dossier
    from bucketry.schema.documents.evidence import Evidence
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.names import Digest, ModelName

MOST_EVALUATIONS = 1_000
"""Of one version, after it was published; each is an object that whoever checks a gate reads."""
RECORDED_DIGITS = 32


@frozen
class AddedEvaluation:
    """One evaluation that a version has now. `created` is False where it had it before.

    `id` is the digest of the object that holds it: of one that came with the publish, that is the manifest.
    """

    id: Digest
    evidence: Evidence
    created: bool


@frozen
class EvaluatedVersion:
    """What adding evidence did. `left_out` says what of it could not be compared and is not recorded."""

    model: ModelName
    version: int
    manifest: Digest
    evaluations: tuple[AddedEvaluation, ...]
    left_out: tuple[str, ...] = ()


def evaluate(session: Session, model: ModelName, version: int, evidence: Sequence[Evidence]) -> EvaluatedVersion:
    """Add evaluations to a version in one commit; who and when is filled in where they do not say it.

    Raises `UsageError` for values that cannot be compared, `RejectedError` for a version that is being deleted or has
    too many evaluations.
    """
    evidence = plain_evidence(evidence)
    if not evidence:
        raise UsageError("there is no evidence to add", advice="give a file with metrics")
    session.check_writable()
    at = session.clock.timestamp()
    planned: list[AddedEvaluation] = []

    def edit(old: Head | None) -> Change[Head]:
        head = existing_head(session, model, old)
        row = load_row(session, head, version)
        if row.state is State.DELETING:
            raise RejectedError(f"version {version} of {model} is being deleted", advice="publish a new version")
        dossier = load_dossier(session, head, row)
        published = load_manifest(session, model, row.manifest).evidence_at_publish
        added = load_added_evidence(session, dossier)
        there = [(row.manifest, item) for item in published]
        there += [(cited.sha256, item) for cited, item in zip(dossier.evidence, added, strict=True)]
        # An edit runs again on every conflict: what an older attempt planned is forgotten.
        planned[:], items = _plan(session, model, row, there, evidence, at)
        if not items:
            raise AlreadyDoneError(head)
        if len(added) + len(items) > MOST_EVALUATIONS:
            raise RejectedError(f"{model}:{version} would have more than {MOST_EVALUATIONS:,} evaluations")
        measured = [*published, *added, *(item.evidence for item in planned if item.created)]
        return _change(session, head, row, dossier, measured, items)

    head = ensure_head(session, model, edit)
    return EvaluatedVersion(model, version, load_row(session, head, version).manifest, tuple(planned))


def _plan(
    session: Session,
    model: ModelName,
    row: Row,
    there: Sequence[tuple[Digest, Evidence]],
    evidence: Sequence[Evidence],
    at: str,
) -> tuple[list[AddedEvaluation], list[Immutable]]:
    """Return what becomes of each evaluation, and the objects of the new ones; of two that say the same, the first is.

    Raises `UsageError` where one would not be read as it was given.
    """
    known = list(there)
    planned: list[AddedEvaluation] = []
    new: list[Immutable] = []
    for candidate in evidence:
        found = next((digest for digest, item in known if is_repeated(candidate, item)), None)
        if found is None:
            complete = replace(candidate, at=candidate.at or at, by=candidate.by or session.actor)
            body = encode_evidence(complete, row.manifest)
            item = Immutable(keys.evidence(model, row.manifest, digest_of(body)), body)
            read = decode_evidence(body, manifest=row.manifest, what="the evidence")
            if read.to_document() != {name: one for name, one in complete.to_document().items() if name != "manifest"}:
                raise UsageError("the evidence cannot be recorded: it would not be read as it was given")
            known.append((digest_of(body), complete))
            planned.append(AddedEvaluation(digest_of(body), complete, created=True))
            new.append(item)
        else:
            planned.append(AddedEvaluation(found, candidate, created=False))
    return planned, new


def _change(
    session: Session,
    head: Head,
    row: Row,
    dossier: Dossier,
    measured: Sequence[Evidence],
    items: Sequence[Immutable],
) -> Change[Head]:
    cited = tuple(Citation(item.key, digest_of(item.body)) for item in items)
    headline = headline_values(measured, load_policy(session, head).headline_metrics)
    bare = replace(row, metrics={})
    shown = replace(bare, metrics=fit_metrics(bare, headline))
    changed, objects = replace_dossier(session, head, shown, replace(dossier, evidence=(*dossier.evidence, *cited)))
    detail: dict[str, object] = {"evidence": cited[0].sha256[:RECORDED_DIGITS]}
    if len(items) > 1:
        detail["added"] = len(items)
    return Change(changed, AuditAction.EVALUATE, target=str(row.version), detail=detail, objects=(*items, *objects))
