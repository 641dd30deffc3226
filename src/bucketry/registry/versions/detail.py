"""Reads everything about one version: what was published, what came later, and what was decided about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, reason_of
from bucketry.frozen import frozen
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.resolve import resolved_row, select_row
from bucketry.registry.core.rows import load_dossier
from bucketry.registry.review.policies import load_policy
from bucketry.registry.review.standings import load_standing
from bucketry.registry.serving.known_aliases import load_aliases
from bucketry.schema.codec import Document, decode_foreign
from bucketry.schema.documents.policy import DEFAULT_POLICY

if TYPE_CHECKING:
    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.dossier import Dossier
    from bucketry.schema.documents.head import Row
    from bucketry.schema.documents.reviews import Decision
    from bucketry.schema.judging.decisions import Approvals
    from bucketry.schema.names import Reference


@frozen
class VersionDetail:
    """Everything about one version. `evidence` holds what was published with it and what was added since.

    Where the policy cannot be read, `damaged` says why, and `approvals` is None: nobody knows which of them count.
    """

    resolved: ResolvedVersion
    row: Row
    dossier: Dossier
    evidence: tuple[Document, ...]
    reviews: tuple[Decision, ...]
    approvals: Approvals | None
    aliases: tuple[AliasRegister, ...]
    damaged: str = ""


def load_detail(session: Session, reference: Reference) -> VersionDetail:
    """Return everything about one version, as the head has it now."""
    head = load_existing_head(session, reference.model)
    row = select_row(session, head, reference.selector)
    resolved = resolved_row(session, head, row)
    dossier = load_dossier(session, head, row)
    registers = load_aliases(session, head)
    try:
        policy, damaged = load_policy(session, head), ""
    except UNREADABLE as error:
        policy, damaged = DEFAULT_POLICY, reason_of(error)
    standing = load_standing(session, head, row, policy=policy)
    return VersionDetail(
        resolved=resolved,
        row=row,
        dossier=dossier,
        evidence=(
            *(item.to_document() for item in resolved.manifest.evidence_at_publish),
            *(decode_foreign(session.load_cited(cited), what=cited.key) for cited in dossier.evidence),
        ),
        reviews=standing.decisions,
        approvals=None if damaged else standing.approvals,
        aliases=tuple(r for r in registers if r.target and r.target.version == row.version),
        damaged=damaged,
    )
