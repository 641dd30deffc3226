"""Damage for the tests of the integrity check: what plants it, and what looks for its finding."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_head, load_head
from bucketry.registry.core.rows import replace_dossier
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.schema import keys
from bucketry.schema.codec import digest_of, encode
from bucketry.schema.documents.audit import AuditAction
from bucketry.store.contract import Entry, Unconditional
from simulation.actors import CHAT, CONTENTS, PRODUCTION, Uploader, make_manifest
from simulation.scenes import base_parent, begin, founder
from simulation.world import Bucket, SeededScript, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.maintenance.fsck.registry import Report
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.dossier import Dossier
    from bucketry.schema.documents.head import Head
    from bucketry.schema.names import Digest, ModelName
    from simulation.scenes import Beginning

HEAD = keys.head(CHAT)
ALIAS = keys.alias(CHAT, PRODUCTION)


def made(beginning: Beginning) -> Bucket:
    world = World(SeededScript(0))
    begin(world, beginning)
    return world.bucket


def publish_child(session: Session) -> None:
    manifest = make_manifest(CHAT, [CONTENTS[2]], notes="child", parents=(base_parent(1),))
    register_version(session, PreparedVersion(manifest), Uploader(session, CHAT))


def rewrite(bucket: Bucket, key: str, change: Callable[[dict[str, object]], object]) -> None:
    document = json.loads(bucket.get(key).body)
    change(document)
    bucket.put(key, encode(document), Unconditional())


def first(bucket: Bucket, prefix: str) -> str:
    return next(entry.key for entry in bucket.list(prefix) if isinstance(entry, Entry))


def assert_damage(report: Report, key: str, words: str) -> None:
    assert any(finding.key == key and words in finding.message for finding in report.damage), report.findings


def items(document: dict[str, object], name: str) -> list[dict[str, object]]:
    value = document[name]
    assert isinstance(value, list)
    return value


def some(head: Head | None) -> Head:
    assert head is not None
    return head


def head_of(session: Session, model: ModelName = CHAT) -> Head:
    return some(load_head(session, model).state)


def load_digest(session: Session, model: ModelName) -> Digest:
    return head_of(session, model).rows[0].manifest


def change_row(session: Session, change: Callable[[dict[str, object]], object], model: ModelName = CHAT) -> None:
    """Change the row of version 1 by what looks like a commit."""

    def edit(document: dict[str, object]) -> None:
        change(items(document, "rows")[0])

    store = session.store
    assert isinstance(store, Bucket)
    rewrite(store, keys.head(model), edit)


def cite(session: Session, dossier: Dossier, model: ModelName = CHAT) -> None:
    def edit(old: Head | None) -> Change[Head]:
        head, objects = replace_dossier(session, some(old), some(old).rows[0], dossier)
        return Change(head, AuditAction.EDIT, objects=objects)

    commit_head(session, model, edit)


def directory_of(bucket: Bucket) -> str:
    digest = head_of(founder(bucket)).sealed.directory
    assert digest is not None
    return keys.page(CHAT, digest)


def page_of(bucket: Bucket) -> str:
    document = json.loads(bucket.get(directory_of(bucket)).body)
    return keys.page(CHAT, document["pages"][0]["page"])


def replace_page(
    bucket: Bucket, change: Callable[[dict[str, object]], object], *, index: str = "", last: int = 64
) -> None:
    """Commit another page and a directory that names it, as a faulty program would."""
    page = json.loads(bucket.get(page_of(bucket)).body)
    change(page)
    body = encode(page)
    directory = json.loads(bucket.get(directory_of(bucket)).body)
    entry = directory["pages"][0]
    entry |= {"page": digest_of(body), "last": last}
    entry["manifests"] = index + entry["manifests"][len(index) : 6 * last]
    listing = encode(directory)
    for one in (body, listing):
        key = keys.page(CHAT, digest_of(one))
        bucket.put(key, one, Unconditional())
    rewrite(bucket, HEAD, lambda head: head.update(sealed={"count": 64, "directory": digest_of(listing)}))
