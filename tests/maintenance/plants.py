"""One way to plant each kind of finding in a small registry; `PLANTS` has every kind of the table."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import UnavailableError
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_head
from bucketry.registry.serving.aliases import promote
from bucketry.registry.serving.materialize import materialize
from bucketry.registry.versions.deletion import delete_version
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.dossier import Pin
from bucketry.schema.documents.reviews import Action
from bucketry.schema.names import AliasName, ByVersion, Digest, ModelName, Reference
from bucketry.store.contract import IfAbsent, Unconditional
from maintenance.offices import copied, dossier_of, plant_review
from maintenance.planting import (
    ALIAS,
    HEAD,
    change_row,
    cite,
    directory_of,
    first,
    items,
    made,
    page_of,
    replace_page,
    rewrite,
    some,
)
from registry.people import ANNA, BERT, CHAT, PRODUCTION, Interrupted, Office, open_office
from simulation.actors import BASE
from simulation.scenes import SEALED, base_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head
    from bucketry.store.contract import Store

CHILD = ModelName("acme", "child")
NEW = AliasName("new")
A, B = Digest("a" * 64), Digest("b" * 64)


@dataclass
class Ground:
    """A registry that is whole, with what a mirror of it held before something was planted."""

    office: Office
    folder: Path
    store: Store
    mirror: Interrupted

    @classmethod
    def of(cls, office: Office, folder: Path) -> Ground:
        """Return the ground of an office."""
        ground = cls(office, folder, office.bucket, Interrupted())
        ground.copy_to_mirror()
        return ground

    @property
    def bucket(self) -> Interrupted:
        """The registry in memory."""
        return self.office.bucket

    def copy_to_mirror(self) -> None:
        """Let the mirror have what the registry has now."""
        self.mirror.restore(self.bucket.snapshot())

    def move_to_folder(self) -> Path:
        """Go on with the same registry in a folder, and return that."""
        rewrite(self.bucket, keys.REGISTRY, lambda document: items(document, "conformance")[0].update(endpoint="file"))
        store = copied(self.bucket, self.folder)
        self.store = store
        return store.local_path("x").parent

    def session(self) -> Session:
        """Return a session that has read nothing yet."""
        return replace(self.office.session(), store=self.store)


def open_sealed() -> Office:
    """Return an office whose model has a sealed page and sealed audit records."""
    bucket = Interrupted()
    bucket.restore(made(SEALED).snapshot())
    return Office(bucket)


def _delete(find: Callable[[Interrupted], str]) -> Callable[[Ground], None]:
    def plant(ground: Ground) -> None:
        ground.bucket.delete(find(ground.bucket))

    return plant


def _change(key: str, **fields: object) -> Callable[[Ground], None]:
    return lambda ground: rewrite(ground.bucket, key, lambda document: document.update(fields))


def _row(**fields: object) -> Callable[[Ground], None]:
    return lambda ground: change_row(ground.office.session(), lambda row: row.update(fields))


def _put(key: str, body: bytes = b"leftover") -> Callable[[Ground], None]:
    def plant(ground: Ground) -> None:
        ground.bucket.put(key, body, IfAbsent())

    return plant


def _change_a_record(ground: Ground) -> None:
    rewrite(ground.bucket, HEAD, lambda head: items(head, "recent")[1].update(actor="somebody else"))


def _lose_a_note(ground: Ground) -> None:
    promote(ground.office.session(), CHAT, 3, PRODUCTION, reason="r" * 100)
    ground.copy_to_mirror()
    ground.bucket.delete(first(ground.bucket, keys.PAGES))


def _move_on_in_a_folder(ground: Ground) -> tuple[Path, bytes]:
    """Commit the head once more, in a folder; return its file for people, and what that was before."""
    path = ground.move_to_folder() / HEAD
    older = path.read_bytes()
    commit_head(ground.session(), CHAT, lambda old: Change(some(old), AuditAction.EDIT))
    return path, older


def _lose_a_readable_copy(ground: Ground) -> None:
    path, _ = _move_on_in_a_folder(ground)
    path.unlink()


def _keep_an_older_readable_copy(ground: Ground) -> None:
    path, older = _move_on_in_a_folder(ground)
    path.unlink()
    path.write_bytes(older)


def _count_another_page(ground: Ground) -> None:
    replace_page(ground.bucket, lambda _: None, last=63)


def _cut_the_head(ground: Ground) -> None:
    ground.bucket.put(HEAD, b"{", Unconditional())


def _alter_bytes(ground: Ground) -> None:
    key = first(ground.bucket, keys.blobs(CHAT))
    ground.bucket.put(key, b"x" * len(ground.bucket.get(key).body), Unconditional())


def _lose_a_base(ground: Ground) -> None:
    ground.office.publish(CHILD, parent=base_parent(1))
    ground.copy_to_mirror()
    change_row(ground.office.session(), lambda row: row.update(state="deleted"), BASE)


def _lose_a_pin(ground: Ground) -> None:
    ground.office.publish(CHILD, parent=base_parent(1))
    change_row(ground.office.session(), lambda row: row.pop("dossier"), BASE)


def _lose_of_a_version(prefix: str) -> Callable[[Ground], None]:
    def plant(ground: Ground) -> None:
        ground.office.measure(auc=0.5)
        ground.office.decide(ANNA, Action.COMMENT)
        ground.copy_to_mirror()
        if prefix == keys.PAGES:
            row = json.loads(ground.bucket.get(HEAD).body)["rows"][0]
            ground.bucket.delete(keys.page(CHAT, Digest(row["dossier"])))
        else:
            ground.bucket.delete(first(ground.bucket, prefix))

    return plant


def _cite_twice(ground: Ground) -> None:
    ground.office.measure(auc=0.5)
    dossier = dossier_of(ground.office)
    cite(ground.office.session(), replace(dossier, evidence=dossier.evidence * 2))


def _decide_about_another_version(ground: Ground) -> None:
    plant_review(ground.office, version=2)


def _lose_a_policy(ground: Ground) -> None:
    ground.office.policy("approvals_required = 1")
    ground.copy_to_mirror()
    ground.bucket.delete(first(ground.bucket, keys.POLICIES))


def _stop_a_deletion(ground: Ground) -> None:
    ground.bucket.broken.add(ALIAS)
    with pytest.raises(UnavailableError):
        delete_version(ground.office.session(), CHAT, 3)
    ground.bucket.broken.clear()


def _begin_an_alias(ground: Ground) -> None:
    def name(old: Head | None) -> Change[Head]:
        return Change(replace(some(old), aliases=(PRODUCTION, NEW)), AuditAction.CREATE_ALIAS, target=NEW)

    commit_head(ground.office.session(), CHAT, name)


def _stop_telling(action: Action) -> Callable[[Ground], None]:
    def plant(ground: Ground) -> None:
        statement = ground.office.prepare(BERT, action, 2)
        ground.bucket.broken.add(ALIAS)
        with pytest.raises(UnavailableError):
            ground.office.record(statement)
        ground.bucket.broken.clear()

    return plant


def _put_a_link_for_a_folder(ground: Ground) -> None:
    root = ground.move_to_folder()
    (root / "manifests").rename(root.parent / "elsewhere")
    (root / "manifests").symlink_to(root.parent / "elsewhere")


def _stop_a_mirror(ground: Ground) -> None:
    selection: dict[str, object] = {"models": [], "aliases": []}
    replica = {"source": "s3://models/", "selection": selection, "complete": False, "run": "r", "endpoints": []}
    rewrite(ground.bucket, keys.REGISTRY, lambda document: document.update(replica=replica))


def _stop_a_mirror_before_the_head(ground: Ground) -> None:
    _stop_a_mirror(ground)
    ground.bucket.delete(HEAD)


def _start_an_upload(ground: Ground) -> None:
    ground.bucket.start_upload(keys.blob(CHAT, 1, A))


def _pin_for_nobody(ground: Ground) -> None:
    cite(ground.office.session(), replace(dossier_of(ground.office), dependents=(Pin(CHILD, 1),)))


def _lose_a_served_file(ground: Ground) -> None:
    done = materialize(ground.session(), Reference(CHAT, ByVersion(1)))
    ground.store.delete(keys.serve_folder(CHAT, 1) + done.files[0].path)


PLANTS: Mapping[Kind, Callable[[Ground], None]] = {
    Kind.REGISTER_LOST: _delete(lambda _: HEAD),
    Kind.REGISTER_UNREADABLE: _cut_the_head,
    Kind.REGISTER_FOREIGN: _change(HEAD, registry="another"),
    Kind.NEWER_FORMAT: _change(ALIAS, format=2),
    Kind.HEAD_TOO_LARGE: _change(HEAD, filler="x" * 96 * 1024),
    Kind.SEALED_RECORDS_LOST: _delete(lambda _: keys.head_history(CHAT, 33)),
    Kind.AUDIT_CHAIN_BROKEN: _change_a_record,
    Kind.NOTE_LOST: _lose_a_note,
    Kind.READABLE_COPY_WRONG: _lose_a_readable_copy,
    Kind.READABLE_COPY_BEHIND: _keep_an_older_readable_copy,
    Kind.REGISTRY_CONTRADICTION: _change(keys.REGISTRY, created_at="2001-01-01T00:00:00.000Z"),
    Kind.HEAD_CONTRADICTION: _change(HEAD, description="said by nobody"),
    Kind.ROW_CONTRADICTION: _row(created_by="somebody else"),
    Kind.DIRECTORY_LOST: _delete(directory_of),
    Kind.PAGE_LOST: _delete(page_of),
    Kind.PAGE_CONTRADICTION: _count_another_page,
    Kind.MANIFEST_LOST: _delete(lambda bucket: first(bucket, keys.manifests(CHAT))),
    Kind.PLACEMENT_WRONG: _row(placement=[[1, 99]]),
    Kind.BLOB_LOST: _delete(lambda bucket: first(bucket, keys.blobs(CHAT))),
    Kind.BLOB_ALTERED: _alter_bytes,
    Kind.BASE_LOST: _lose_a_base,
    Kind.BASE_NOT_PINNED: _lose_a_pin,
    Kind.DOSSIER_LOST: _lose_of_a_version(keys.PAGES),
    Kind.DOSSIER_CONTRADICTION: _cite_twice,
    Kind.EVIDENCE_LOST: _lose_of_a_version(keys.EVIDENCE),
    Kind.DECISION_LOST: _lose_of_a_version(keys.REVIEWS),
    Kind.CITED_MISPLACED: _decide_about_another_version,
    Kind.POLICY_LOST: _lose_a_policy,
    Kind.DELETION_UNFINISHED: _stop_a_deletion,
    Kind.ALIAS_TARGET_LOST: _change(ALIAS, version=99),
    Kind.ALIAS_NOT_IN_HEAD: _change(HEAD, aliases=[]),
    Kind.ALIAS_CONTRADICTION: _change(ALIAS, reviews=[{}]),
    Kind.ALIAS_STATE_WRONG: _change(ALIAS, state="approved"),
    Kind.ALIAS_UNSET: _begin_an_alias,
    Kind.ALIAS_BEHIND: _stop_telling(Action.APPROVE),
    Kind.REFUSAL_NOT_TOLD: _stop_telling(Action.REJECT),
    Kind.KEY_OF_NO_REGISTER: _put("heads/nobody.json"),
    Kind.MODEL_WITHOUT_HEAD: _delete(lambda _: HEAD),
    Kind.UNLISTABLE: _put_a_link_for_a_folder,
    Kind.REPLICA_INCOMPLETE: _stop_a_mirror,
    Kind.HEAD_TO_COME: _stop_a_mirror_before_the_head,
    Kind.STRAY_KEY: _put("notes.txt"),
    Kind.BLOB_UNNAMED: _put(keys.blob(CHAT, 1, A)),
    Kind.DOCUMENT_UNNAMED: _put(keys.manifest(CHAT, A)),
    Kind.UPLOAD_UNFINISHED: _start_an_upload,
    Kind.PROBE_LEFTOVER: _put("probe/1234/object"),
    Kind.SERVED_FILE_WRONG: _lose_a_served_file,
    Kind.SERVED_READY_UNREADABLE: _put(keys.ready(keys.serve_folder(CHAT, 1)), b"{}"),
    Kind.SERVED_INCOMPLETE: _put(f"{keys.serve_folder(CHAT, 1)}config.json"),
    Kind.SERVED_FOR_NOBODY: _put(f"{keys.serve_folder(CHAT, 999)}config.json"),
    Kind.PIN_WITHOUT_CHILD: _pin_for_nobody,
    Kind.RECEIPT_UNREADABLE: _put(keys.deployment(CHAT, "prod", "node-1"), b"{}"),
}
SEALED_ONES = frozenset(
    {
        Kind.SEALED_RECORDS_LOST,
        Kind.DIRECTORY_LOST,
        Kind.PAGE_LOST,
        Kind.PAGE_CONTRADICTION,
        Kind.HEAD_TO_COME,
    }
)


def prepare(kind: Kind, folder: Path) -> Ground:
    """Return a whole registry in which a kind can be planted."""
    return Ground.of(open_sealed() if kind in SEALED_ONES else open_office(), folder)
