"""Which models and versions are there, and what is known about one?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.registry.aliases import load_aliases
from bucketry.registry.registers import load_existing_head, load_head
from bucketry.registry.resolve import ResolvedVersion, resolved_row, select_row
from bucketry.registry.reviewing import load_standing
from bucketry.registry.rows import iter_rows, load_dossier
from bucketry.schema import keys
from bucketry.schema.codec import Document, decode_foreign
from bucketry.schema.states import State
from bucketry.store.interface import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.registry.session import Session
    from bucketry.schema.alias import AliasRegister
    from bucketry.schema.decisions import Approvals
    from bucketry.schema.dossier import Cited, Dossier
    from bucketry.schema.head import Head, Row
    from bucketry.schema.names import ModelName, Reference
    from bucketry.schema.reviews import Decision


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model in a list. `versions` counts all numbers ever given; `newest` is None for a model without versions."""

    model: ModelName
    versions: int
    newest: int | None
    aliases: tuple[AliasRegister, ...]
    updated_at: str
    description: str


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """A version in a list: its row, and the aliases that name it."""

    row: Row
    aliases: tuple[AliasRegister, ...]


@dataclass(frozen=True, slots=True)
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


def list_models(session: Session, *, query: str = "", with_aliases: bool = True) -> list[ModelSummary]:
    """Return the models whose name contains every word of the query, in the order of their names."""
    words = query.lower().split()
    names = [name for name in iter_model_names(session) if all(word in str(name) for word in words)]
    if not names:
        _ = session.registry  # an empty list must not hide a registry that does not exist
    heads = session.ports.map_in_parallel(lambda name: load_head(session, name).state, names)
    return [_summary(session, head, with_aliases=with_aliases) for head in heads if head is not None]


def iter_versions(session: Session, head: Head, *, query: str = "") -> Iterator[VersionSummary]:
    """Yield the versions of a model, newest first, deleted ones left out; words of the query filter them."""
    words = query.lower().split()
    registers = load_aliases(session, head)
    for row in iter_rows(session, head):
        named = tuple(r for r in registers if r.target and r.target.version == row.version)
        if row.state is not State.DELETED and all(_matches(row, named, word) for word in words):
            yield VersionSummary(row, named)


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


def _matches(row: Row, named: tuple[AliasRegister, ...], word: str) -> bool:
    kind, colon, value = word.partition(":")
    if colon and kind == "state":
        return row.state == value
    if colon and kind == "label":
        return value in {f"{name}={text}".lower() for name, text in row.labels.items()}
    texts = [row.created_by, row.state, *(r.alias for r in named), *row.labels.values(), f"v{row.version}"]
    return any(word in text.lower() for text in texts)


def _load_cited(session: Session, cited: Cited) -> Document:
    return decode_foreign(session.load_cited(cited), what=cited.key)
