"""Which models and versions are there, and what is known about one?"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.frozen import frozen
from bucketry.registry.aliases import load_aliases
from bucketry.registry.evaluations import load_added_evidence
from bucketry.registry.registers import find_head, load_existing_head
from bucketry.registry.resolve import ResolvedVersion, load_manifest, resolved_row, select_row
from bucketry.registry.rows import iter_rows, load_dossier
from bucketry.registry.standings import load_standing
from bucketry.schema import keys
from bucketry.schema.codec import Document, decode_foreign
from bucketry.schema.query import parse_query
from bucketry.schema.query_details import details_of
from bucketry.schema.query_match import Candidate, fits
from bucketry.schema.states import State
from bucketry.store.interface import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bucketry.registry.session import Session
    from bucketry.schema.alias import AliasRegister
    from bucketry.schema.decisions import Approvals
    from bucketry.schema.dossier import Cited, Dossier
    from bucketry.schema.head import Head, Row
    from bucketry.schema.names import ModelName, Reference
    from bucketry.schema.query import Query
    from bucketry.schema.reviews import Decision

DETAILS_AT_ONCE = 64
"""Of so many versions manifest and evidence are read before the first of them is looked at."""


@frozen
class ModelSummary:
    """A model in a list. `versions` counts all numbers ever given; `newest` is None for a model without versions."""

    model: ModelName
    versions: int
    newest: int | None
    aliases: tuple[AliasRegister, ...]
    updated_at: str
    description: str


@frozen
class VersionSummary:
    """A version in a list: its row, and the aliases that name it."""

    row: Row
    aliases: tuple[AliasRegister, ...]


@frozen
class VersionDetail:
    """Everything about one version. `evidence` holds what was published with it and what was added since."""

    resolved: ResolvedVersion
    row: Row
    dossier: Dossier
    evidence: tuple[Document, ...]
    reviews: tuple[Decision, ...]
    approvals: Approvals
    aliases: tuple[AliasRegister, ...]


def iter_model_names(session: Session) -> Iterator[ModelName]:
    """Yield the names of all models in the order of their keys, from a listing of `heads/` alone."""
    for entry in session.store.list(keys.HEADS):
        if isinstance(entry, Entry):
            try:
                model = keys.model_of_head(entry.key)
            except BucketryError:
                continue  # not a name of ours: fsck reports it
            if model is not None:
                yield model


def list_models(
    session: Session,
    *,
    query: str = "",
    with_aliases: bool = True,
    limit: int | None = None,
    after: ModelName | None = None,
) -> list[ModelSummary]:
    """Return the models whose name contains every word of the query, in the order of their names.

    Only the heads of those that are returned are read: at most `limit`, from the first behind `after` on.
    """
    words = query.lower().split()
    names = [name for name in iter_model_names(session) if all(word in str(name) for word in words)]
    if not names:
        _ = session.registry  # an empty list must not hide a registry that does not exist
    names.sort(key=str)
    names = [name for name in names if after is None or str(name) > str(after)][:limit]
    heads = session.ports.map_in_parallel(lambda name: find_head(session, name), names)
    return [_summary(session, head, with_aliases=with_aliases) for head in heads if head is not None]


def iter_versions(session: Session, head: Head, *, query: str = "") -> Iterator[VersionSummary]:
    """Yield the versions of a model that fit a query (`schema/query.py`), newest first.

    Deleted ones are left out unless they are asked for. A query about more than rows costs the manifest and the
    evidence of each version that fits as far as its row says.
    """
    asked = parse_query(query)
    named: dict[int, list[AliasRegister]] = {}
    for register in load_aliases(session, head):
        if register.target is not None:
            named.setdefault(register.target.version, []).append(register)
    rows: Iterator[Row] = (
        row
        for row in iter_rows(session, head)
        if (row.state is not State.DELETED or asked.asks_for_deleted)
        and fits(asked.of_rows, _candidate(head, row, named))
    )
    if asked.needs_details:
        rows = _iter_fitting_details(session, head, rows, asked, named)
    for row in rows:
        yield VersionSummary(row, tuple(named.get(row.version, ())))


def load_newest_rows(session: Session, model: ModelName) -> tuple[Row, ...]:
    """Return the newest versions (64 at least, where there are as many), newest first: one GET."""
    return tuple(reversed(load_existing_head(session, model).rows))


def load_detail(session: Session, reference: Reference) -> VersionDetail:
    """Return everything about one version, as the head has it now."""
    head = load_existing_head(session, reference.model)
    row = select_row(session, head, reference.selector)
    resolved = resolved_row(session, head, row)
    dossier = load_dossier(session, head, row)
    registers = load_aliases(session, head)
    standing = load_standing(session, head, row)
    return VersionDetail(
        resolved=resolved,
        row=row,
        dossier=dossier,
        evidence=(
            *(item.to_document() for item in resolved.manifest.evidence_at_publish),
            *(_load_cited(session, cited) for cited in dossier.evidence),
        ),
        reviews=standing.decisions,
        approvals=standing.approvals,
        aliases=tuple(r for r in registers if r.target and r.target.version == row.version),
    )


def _summary(session: Session, head: Head, *, with_aliases: bool) -> ModelSummary:
    newest = next((row.version for row in reversed(head.rows) if row.state is not State.DELETED), None)
    return ModelSummary(
        model=head.model,
        versions=head.next_version - 1,
        newest=newest,
        aliases=load_aliases(session, head) if with_aliases else (),
        updated_at=head.trail.records[-1].at,
        description=head.description,
    )


def _candidate(head: Head, row: Row, named: Mapping[int, Sequence[AliasRegister]]) -> Candidate:
    aliases = [register.alias for register in named.get(row.version, ())]
    return Candidate(head.model, row, aliases, with_name=False)


def _iter_fitting_details(
    session: Session, head: Head, rows: Iterator[Row], asked: Query, named: Mapping[int, Sequence[AliasRegister]]
) -> Iterator[Row]:
    """Yield the rows whose manifest and evidence fit too, which are read for many at once."""

    def fits_by_details(row: Row) -> bool:
        dossier = load_dossier(session, head, row)
        manifest = load_manifest(session, head.model, row.manifest)
        evidence = (*manifest.evidence_at_publish, *load_added_evidence(session, dossier))
        details = details_of(row, manifest, dossier, evidence)
        return fits(asked, replace(_candidate(head, row, named), details=details))

    while batch := list(islice(rows, DETAILS_AT_ONCE)):  # bounded by the rows
        fitting = session.ports.map_in_parallel(fits_by_details, batch)
        yield from (row for row, fit in zip(batch, fitting, strict=True) if fit)


def _load_cited(session: Session, cited: Cited) -> Document:
    return decode_foreign(session.load_cited(cited), what=cited.key)
