"""What evidence does a version have, published with it and added since?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.core.rows import load_dossier
from bucketry.schema.documents.evidence import decode_evidence

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.dossier import Dossier
    from bucketry.schema.documents.evidence import Evidence
    from bucketry.schema.documents.head import Head, Row


def load_evidence(session: Session, head: Head, row: Row) -> tuple[Evidence, ...]:
    """Return a version's evidence in the order in which it was recorded."""
    published = load_manifest(session, head.model, row.manifest).evidence_at_publish
    return (*published, *load_added_evidence(session, load_dossier(session, head, row)))


def load_added_evidence(session: Session, dossier: Dossier) -> tuple[Evidence, ...]:
    """Return the evidence that a dossier cites; raise `CorruptError` for what is missing, or about another version."""
    bodies = session.map_in_parallel(session.load_cited, dossier.evidence)
    return tuple(
        decode_evidence(body, manifest=dossier.manifest, what=cited.key)
        for cited, body in zip(dossier.evidence, bodies, strict=True)
    )
