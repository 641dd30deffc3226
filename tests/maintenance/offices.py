"""A registry in which people decide, for the tests of the integrity check; what it finds is the same in a folder."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_dossier, load_row
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.dossier import Citation
from bucketry.schema.documents.reviews import Action, Review, Statement, encode_review, encode_statement
from bucketry.store.contract import Entry, IfAbsent, Unconditional
from bucketry.store.folder.store import FolderStore
from maintenance.planting import cite
from registry.people import ANNA, CHAT, Office
from simulation.scenes import REGISTRY

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from bucketry.maintenance.fsck.findings import Finding
    from bucketry.maintenance.fsck.registry import Report
    from bucketry.schema.documents.dossier import Dossier
    from simulation.world import Bucket

_FOLDERS = count()


def copied(bucket: Bucket, parent: Path) -> FolderStore:
    store = FolderStore(parent / f"registry-{next(_FOLDERS)}")
    store.create_root()
    for item in bucket.list(""):
        assert isinstance(item, Entry)
        store.put(item.key, bucket.get(item.key).body, IfAbsent())
    return store


def checked(office: Office, parent: Path, *, deep: bool = False) -> Report:
    """Return what the check finds in memory, which is what it finds in a folder with the same content."""
    report = check_registry(office.session(), deep=deep)
    session = replace(office.session(), store=copied(office.bucket, parent))
    assert set(check_registry(session, deep=deep).findings) == set(report.findings)
    return report


def besides_records(report: Report) -> list[Finding]:
    """Return the findings but for what follows from planting: that no audit record says that it was committed."""
    unrecorded = ("were not committed.", "the audit records add")
    return [finding for finding in report.findings if not any(words in finding.message for words in unrecorded)]


def only(report: Report) -> Finding:
    found = besides_records(report)
    assert len(found) == 1, report.findings
    return found[0]


def manifest_of(office: Office, version: int = 1) -> str:
    session = office.session()
    return load_row(session, load_existing_head(session, CHAT), version).manifest


def dossier_of(office: Office, version: int = 1) -> Dossier:
    session = office.session()
    head = load_existing_head(session, CHAT)
    return load_dossier(session, head, load_row(session, head, version))


def plant_review(office: Office, **said: Any) -> str:
    """Cite a comment about version 1 that a person could not have made; return its key."""
    manifest = load_row(office.session(), load_existing_head(office.session(), CHAT), 1).manifest
    honest = Statement(REGISTRY, CHAT, manifest, Action.COMMENT, ANNA, 1, "2026-01-01T00:00:00.000Z", version=1)
    return plant_body(office, encode_review(Review(encode_statement(replace(honest, **said)))))


def plant_body(office: Office, body: bytes, *, folder: str = keys.REVIEWS, key: str = "") -> str:
    """Cite any bytes as a decision about version 1, or as evidence of it; return their key."""
    old, digest = dossier_of(office), digest_of(body)
    where = (keys.review if folder == keys.REVIEWS else keys.evidence)(CHAT, old.manifest, digest)
    cited = Citation(key or where, digest)
    office.bucket.put(cited.key, body, Unconditional())
    added = (
        replace(old, reviews=(*old.reviews, cited))
        if folder == keys.REVIEWS
        else replace(old, evidence=(*old.evidence, cited))
    )
    cite(office.session(), added)
    return cited.key
