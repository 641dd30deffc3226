"""Versions, their bytes, dossiers and aliases: each fault is planted once, and named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.serving.aliases import promote
from bucketry.registry.versions.lifecycle import edit_version
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.dossier import Citation, Dossier
from bucketry.schema.names import Digest
from bucketry.store.contract import IfAbsent, Unconditional
from maintenance.planting import (
    ALIAS,
    HEAD,
    assert_damage,
    change_row,
    cite,
    directory_of,
    first,
    head_of,
    items,
    load_digest,
    made,
    page_of,
    publish_child,
    replace_page,
    rewrite,
)
from simulation.actors import BASE, CHAT, PRODUCTION
from simulation.scenes import FEW, SEALED, founder

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from simulation.world import Bucket


@pytest.fixture
def bucket() -> Bucket:
    return made(FEW)


@pytest.fixture
def session(bucket: Bucket) -> Session:
    return founder(bucket)


# Sealed rows


def test_a_missing_directory() -> None:
    bucket = made(SEALED)
    directory = directory_of(bucket)
    bucket.delete(directory)
    assert_damage(check_registry(founder(bucket)), directory, "directory")


def test_a_directory_with_other_bytes() -> None:
    bucket = made(SEALED)
    directory = directory_of(bucket)
    bucket.put(directory, bucket.get(directory).body + b" ", Unconditional())
    assert_damage(check_registry(founder(bucket)), directory, "not those that were named")


def test_a_missing_page() -> None:
    bucket = made(SEALED)
    page = page_of(bucket)
    bucket.delete(page)
    assert_damage(check_registry(founder(bucket)), page, "the page of versions 1 to 64, and is missing")


def test_a_page_with_other_bytes() -> None:
    bucket = made(SEALED)
    page = page_of(bucket)
    bucket.put(page, bucket.get(page).body.replace(b'"registered"', b'"approved"', 1), Unconditional())
    assert_damage(check_registry(founder(bucket)), page, "not those that were named")


def test_a_page_that_does_not_hold_its_versions() -> None:
    bucket = made(SEALED)
    replace_page(bucket, lambda page: items(page, "rows").pop())
    assert any("does not hold exactly" in one.message for one in check_registry(founder(bucket)).damage)


def test_a_directory_whose_index_is_wrong() -> None:
    bucket = made(SEALED)
    replace_page(bucket, lambda _: None, index="000000")
    assert any("index of this page" in one.message for one in check_registry(founder(bucket)).damage)


def test_a_directory_that_ends_elsewhere() -> None:
    bucket = made(SEALED)
    replace_page(bucket, lambda page: items(page, "rows").pop(), last=63)
    assert any("ends at version 63" in one.message for one in check_registry(founder(bucket)).damage)


def test_sealed_rows_without_a_directory() -> None:
    bucket = made(SEALED)
    rewrite(bucket, HEAD, lambda head: head.update(sealed={"count": 64, "directory": None}))
    assert_damage(check_registry(founder(bucket)), HEAD, "no directory")


# Manifests and bytes


def test_a_missing_manifest(bucket: Bucket, session: Session) -> None:
    key = keys.manifest(CHAT, head_of(session).rows[1].manifest)
    bucket.delete(key)
    assert_damage(check_registry(session), key, "manifest of version 2 is missing")


def test_a_manifest_with_other_bytes(bucket: Bucket, session: Session) -> None:
    key = keys.manifest(CHAT, head_of(session).rows[1].manifest)
    bucket.put(key, bucket.get(key).body + b" ", Unconditional())
    assert_damage(check_registry(session), key, "not the bytes that its name says")


def test_a_manifest_of_another_model(bucket: Bucket, session: Session) -> None:
    digest = load_digest(session, BASE)
    key = keys.manifest(CHAT, digest)
    bucket.put(key, bucket.get(keys.manifest(BASE, digest)).body, IfAbsent())
    change_row(session, lambda row: row.update(manifest=digest))
    assert_damage(check_registry(session), key, "another model, acme/base")


def test_a_size_that_is_not_the_manifests(session: Session) -> None:
    change_row(session, lambda row: row.update(size_bytes=999))
    assert_damage(check_registry(session), HEAD, "999")


def test_a_placement_that_does_not_count_the_artifacts(session: Session) -> None:
    change_row(session, lambda row: row.update(placement=[[1, 2]]))
    assert_damage(check_registry(session), HEAD, "placement of version 1")


def test_a_blob_that_is_missing(bucket: Bucket, session: Session) -> None:
    key = first(bucket, keys.blobs(CHAT))
    bucket.delete(key)
    assert_damage(check_registry(session), key, "missing")


def test_a_blob_under_another_epoch_than_the_placement(session: Session) -> None:
    change_row(session, lambda row: row.update(placement=[[7, 1]]))
    assert any("/7/" in finding.key for finding in check_registry(session).damage)


def test_a_blob_of_the_wrong_size(bucket: Bucket, session: Session) -> None:
    key = first(bucket, keys.blobs(CHAT))
    bucket.put(key, b"x" * 100, Unconditional())
    assert_damage(check_registry(session), key, "100")


def test_a_blob_with_other_bytes_is_found_by_the_deep_check_alone(bucket: Bucket, session: Session) -> None:
    key = first(bucket, keys.blobs(CHAT))
    bucket.put(key, b"x" * len(bucket.get(key).body), Unconditional())
    assert check_registry(session).damage == ()
    assert_damage(check_registry(session, deep=True), key, "chunk 1")


# Dossiers and bases


def test_a_missing_dossier(bucket: Bucket, session: Session) -> None:
    edit_version(session, CHAT, 2, notes="noted")
    key = first(bucket, "pages/")
    bucket.delete(key)
    assert_damage(check_registry(session), key, "the dossier of acme/chat:2, and is missing")


def test_a_dossier_of_another_manifest(session: Session) -> None:
    cite(session, Dossier(Digest("a" * 64)))
    assert any("another manifest" in finding.message for finding in check_registry(session).damage)


@pytest.mark.parametrize(("body", "words"), [(None, "missing"), (b"other", "not those that were named")])
def test_a_cited_object(bucket: Bucket, session: Session, body: bytes | None, words: str) -> None:
    cited = Citation("evidence/acme/chat/x/1.json", digest_of(b"{}"))
    if body is not None:
        bucket.put(cited.key, body, IfAbsent())
    cite(session, Dossier(head_of(session).rows[0].manifest, evidence=(cited,)))
    assert_damage(check_registry(session), cited.key, words)


def test_a_child_whose_base_is_deleted(session: Session) -> None:
    publish_child(session)
    change_row(session, lambda row: row.update(state="deleted"), model=BASE)
    assert_damage(check_registry(session), HEAD, "made from acme/base:1, which is deleted")


def test_a_child_whose_base_has_no_pin(session: Session) -> None:
    publish_child(session)
    change_row(session, lambda row: row.pop("dossier"), model=BASE)
    assert_damage(check_registry(session), HEAD, "no pin")


def test_a_child_whose_base_is_pinned_by_others_alone(session: Session) -> None:
    publish_child(session)
    cite(session, Dossier(load_digest(session, BASE)), model=BASE)
    assert_damage(check_registry(session), HEAD, "no pin")


def test_a_child_whose_base_is_another_version(session: Session) -> None:
    publish_child(session)
    other = head_of(session, BASE).rows[1].manifest
    change_row(session, lambda row: row.update(manifest=other), model=BASE)
    assert_damage(check_registry(session), HEAD, "which is not there")


# Aliases


def test_an_alias_that_cannot_be_decoded(bucket: Bucket, session: Session) -> None:
    bucket.put(ALIAS, b"[]", Unconditional())
    assert_damage(check_registry(session), ALIAS, "cannot be read")


def test_an_alias_of_a_version_that_does_not_exist(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, ALIAS, lambda alias: alias.update(version=9))
    assert_damage(check_registry(session), ALIAS, "version 9, which is not there")


def test_an_alias_of_a_deleted_version(session: Session) -> None:
    promote(session, CHAT, 1, PRODUCTION)
    change_row(session, lambda row: row.update(state="deleted"))
    assert_damage(check_registry(session), ALIAS, "which is deleted")


def test_an_alias_with_another_manifest_than_its_version(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, ALIAS, lambda alias: alias.update(manifest="a" * 64))
    assert_damage(check_registry(session), ALIAS, "another manifest")


def test_an_alias_whose_placement_holds_nothing(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, ALIAS, lambda alias: alias.update(placement=[[9, 1]]))
    assert any("the alias production" in finding.message for finding in check_registry(session).damage)


def test_an_alias_that_the_head_does_not_know(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, HEAD, lambda head: head.update(aliases=[]))
    assert_damage(check_registry(session), ALIAS, "does not know the alias production")


def test_an_alias_of_no_model(bucket: Bucket, session: Session) -> None:
    bucket.put("aliases/acme/nothing/production.json", b"{}", IfAbsent())
    assert_damage(check_registry(session), "aliases/acme/nothing/production.json", "belongs to no model")


def test_a_key_that_is_no_aliass_register(bucket: Bucket, session: Session) -> None:
    bucket.put("aliases/acme/chat/Latest.json", b"{}", IfAbsent())
    assert_damage(check_registry(session), "aliases/acme/chat/Latest.json", "not that of any alias")
