"""Reads what is needed to compare versions; the comparison itself is pure (`schema/judging/comparison.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import NotFoundError, UsageError
from bucketry.registry.core.registers import load_alias, load_existing_head
from bucketry.registry.core.resolve import load_evidence, resolved_row, select_row
from bucketry.registry.core.rows import find_row
from bucketry.registry.reading.cards import find_card
from bucketry.schema.documents.cards import section_texts
from bucketry.schema.documents.states import State
from bucketry.schema.judging.comparison import ComparedVersion, VersionDiff, diff_versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.names import AliasName, Reference

MOST_VERSIONS = 16


def compare_versions(session: Session, references: Sequence[Reference], *, with_tensors: bool = False) -> VersionDiff:
    """Return how versions differ from the first, as the registry has them now; of one or of several models.

    The headers of `.safetensors` files are read only on request: they are two reads for each file. Raises
    `UsageError` for fewer than two references or more than 16.
    """
    return compare_rows(session, select_rows(session, references), with_tensors=with_tensors)


def select_rows(session: Session, references: Sequence[Reference]) -> list[tuple[Head, Row]]:
    """Return the rows of versions that are to be compared, each with its head, which is read once for each model."""
    if not 2 <= len(references) <= MOST_VERSIONS:
        raise UsageError(f"{len(references)} versions cannot be compared", advice=f"name 2 to {MOST_VERSIONS}")
    models = list(dict.fromkeys(reference.model for reference in references))
    heads = dict(
        zip(models, session.map_in_parallel(lambda model: load_existing_head(session, model), models), strict=True)
    )
    return [
        (heads[reference.model], select_row(session, heads[reference.model], reference.selector))
        for reference in references
    ]


def compare_rows(session: Session, rows: Sequence[tuple[Head, Row]], *, with_tensors: bool = False) -> VersionDiff:
    """Return how versions differ from the first, given their rows and the heads that these were read from."""
    found = session.map_in_parallel(lambda pair: resolved_row(session, *pair), rows)
    cards = {
        next((artifact.sha256 for artifact in manifest.artifacts if artifact.path == manifest.card), None)
        for manifest in (resolved.manifest for resolved in found)
    }
    subjects = [
        ComparedVersion(
            model=resolved.model,
            version=resolved.version,
            digest=resolved.digest,
            manifest=resolved.manifest,
            evidence=load_evidence(session, head, row),
            # Nobody needs to read what is the same file everywhere.
            sections=_load_sections(session, resolved) if len(cards) > 1 else {},
            tensors=_load_tensors(session, resolved) if with_tensors else None,
        )
        for (head, row), resolved in zip(rows, found, strict=True)
    ]
    return diff_versions(subjects[0], subjects[1:])


def find_comparison(session: Session, head: Head, row: Row, alias: AliasName) -> VersionDiff | None:
    """Return how a version differs from the one that an alias names; None where it names nothing, or this version."""
    register = load_alias(session, head.model, alias).state
    target = register.target if register is not None else None
    if target is None or target.version == row.version:
        return None
    now = head if target.version < head.next_version else load_existing_head(session, head.model)
    baseline = find_row(session, now, target.version)
    if baseline is None or baseline.state is State.DELETED:
        return None
    return compare_rows(session, [(now, baseline), (head, row)])


def _load_sections(session: Session, resolved: ResolvedVersion) -> Mapping[str, str]:
    card = find_card(session, resolved)
    return section_texts((card.whole_text if card else None) or "")


def _load_tensors(session: Session, resolved: ResolvedVersion) -> Mapping[str, str]:
    """Return type and shape of each tensor; one whose name several files have is told apart by its file."""
    from bucketry.registry.reading.tensors import list_tensors  # noqa: PLC0415 - few comparisons look into files

    try:
        entries = list_tensors(session, resolved)
    except NotFoundError:  # a version without such files has no tensors
        return {}
    tensors: dict[str, str] = {}
    for entry in entries:
        name = f"{entry.name} in {entry.path}" if entry.name in tensors else entry.name
        tensors[name] = f"{entry.dtype} [{', '.join(map(str, entry.shape))}]"
    return tensors
