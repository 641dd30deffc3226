"""The registry as a whole: each fault is planted once, and named; a registry in use has none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_head
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.serving.aliases import promote, unset
from bucketry.registry.versions.lifecycle import edit_model, edit_version, retire
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.names import AliasName, Digest, ModelName
from bucketry.store.contract import IfAbsent, Unconditional
from maintenance.planting import ALIAS, HEAD, assert_damage, first, items, made, publish_child, rewrite, some
from simulation.actors import BASE, CHAT, CONTENTS, PRODUCTION, Uploader, make_manifest
from simulation.scenes import BEFORE_SEALING, FEW, SEALED, founder
from simulation.world import Bucket

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head
    from bucketry.store.contract import ETag, Object
    from simulation.scenes import Beginning


@pytest.fixture
def bucket() -> Bucket:
    return made(FEW)


@pytest.fixture
def session(bucket: Bucket) -> Session:
    return founder(bucket)


@pytest.mark.parametrize("beginning", [FEW, BEFORE_SEALING, SEALED])
def test_a_whole_registry_has_no_findings(beginning: Beginning) -> None:
    report = check_registry(founder(made(beginning)), deep=True)
    assert report.findings == ()
    assert report.models == 2


def test_a_registry_in_which_everything_was_done_has_no_findings(session: Session) -> None:
    publish_child(session)
    promote(session, CHAT, 4, AliasName("staging"), reason="r" * 100)
    unset(session, CHAT, PRODUCTION)
    retire(session, CHAT, 1, reason="old")
    edit_version(session, CHAT, 2, notes="noted")
    edit_model(session, CHAT, description="described")
    report = check_registry(session, deep=True)
    assert report.findings == ()
    assert report.versions == 6


def test_only_the_chosen_models_are_checked(bucket: Bucket, session: Session) -> None:
    bucket.delete(first(bucket, keys.manifests(BASE)))
    assert check_registry(session, models=[CHAT]).findings == ()
    assert check_registry(session, models=[BASE]).damage


def test_the_check_writes_nothing(bucket: Bucket, session: Session) -> None:
    bucket.delete(first(bucket, keys.blobs(CHAT)))
    before = bucket.snapshot()
    check_registry(session, deep=True)
    assert bucket.snapshot() == before


def test_progress_names_each_model(session: Session) -> None:
    heard: list[tuple[str, int, int]] = []
    check_registry(session, progress=lambda *what: heard.append(what))
    assert heard == [("acme/base", 0, 2), ("acme/chat", 1, 2)]


def test_every_finding_is_one_plain_sentence(bucket: Bucket, session: Session) -> None:
    bucket.delete(first(bucket, keys.blobs(CHAT)))
    bucket.put("heads/nobody.json", b"{}", IfAbsent())
    findings = check_registry(session).findings
    assert {finding.key.partition("/")[0] for finding in findings} == {"blobs", "heads"}
    for finding in findings:
        assert finding.message.endswith(".")
        assert "\n" not in finding.message


# The registry's document and the heads


def test_a_missing_registry_document(bucket: Bucket, session: Session) -> None:
    bucket.delete(keys.REGISTRY)
    assert_damage(check_registry(session), keys.REGISTRY, "missing")


def test_an_unreadable_registry_document(bucket: Bucket, session: Session) -> None:
    bucket.put(keys.REGISTRY, b"{", Unconditional())
    assert_damage(check_registry(session), keys.REGISTRY, "cannot be read")


def test_a_head_that_cannot_be_decoded(bucket: Bucket, session: Session) -> None:
    bucket.put(HEAD, b"{}", Unconditional())
    assert_damage(check_registry(session), HEAD, "cannot be read")


def test_a_head_in_a_newer_format(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, HEAD, lambda head: head.update(format=2))
    assert_damage(check_registry(session), HEAD, "format 2")


@pytest.mark.parametrize("key", [keys.REGISTRY, HEAD, keys.alias(CHAT, PRODUCTION)])
def test_what_a_newer_program_wrote_is_not_to_be_restored(bucket: Bucket, session: Session, key: str) -> None:
    rewrite(bucket, key, lambda document: document.update(format=2))
    problems = [finding.message for finding in check_registry(session).damage if finding.key == key]
    assert problems
    assert "install a version of bucketry that reads format 2, and restore nothing over it" in problems[0]


def test_a_chosen_model_without_a_head(session: Session) -> None:
    missing = ModelName("acme", "nothing")
    assert_damage(check_registry(session, models=[missing]), keys.head(missing), "missing")


def test_a_head_of_another_registry(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, HEAD, lambda head: head.update(registry="another"))
    assert_damage(check_registry(session), HEAD, "another")


@pytest.mark.parametrize("key", ["heads/acme.json", "heads/acme/chat.txt", "heads/Acme/chat.json", "heads/a/b/c.json"])
def test_a_key_under_heads_that_is_nobodys(bucket: Bucket, session: Session, key: str) -> None:
    bucket.put(key, b"{}", IfAbsent())
    assert_damage(check_registry(session), key, "not that of any model's head")


def test_a_head_of_96_kib(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, HEAD, lambda head: head.update(filler="x" * 96 * 1024))
    assert_damage(check_registry(session), HEAD, "must stay under 98,304")


def test_rows_that_are_not_contiguous(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, HEAD, lambda head: items(head, "rows").pop(1))
    assert_damage(check_registry(session), HEAD, "rows")


# The audit chain


def test_a_record_that_was_changed(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, HEAD, lambda head: items(head, "recent")[1].update(actor="somebody else"))
    assert_damage(check_registry(session), HEAD, "does not follow")


def test_a_record_that_is_missing(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, HEAD, lambda head: items(head, "recent").pop(1))
    assert_damage(check_registry(session), HEAD, "followed by")


def test_an_alias_record_that_was_changed(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, ALIAS, lambda alias: items(alias, "recent")[0].update(actor="somebody else"))
    assert_damage(check_registry(session), ALIAS, "does not follow")


def test_a_registry_record_that_was_changed(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, keys.REGISTRY, lambda document: items(document, "recent")[0].update(previous="1" * 64))
    assert_damage(check_registry(session), keys.REGISTRY, "does not follow")


def test_a_sealed_block_that_is_missing() -> None:
    bucket = made(SEALED)
    bucket.delete(keys.head_history(CHAT, 33))
    report = check_registry(founder(bucket))
    assert_damage(report, keys.head_history(CHAT, 33), "missing")
    assert len(report.damage) == 1


def test_a_sealed_block_of_another_chain() -> None:
    bucket = made(SEALED)
    foreign = bucket.get(keys.alias_history(CHAT, PRODUCTION, 1)).body
    bucket.put(keys.head_history(CHAT, 1), foreign, Unconditional())
    assert_damage(check_registry(founder(bucket)), HEAD, "does not follow")


def test_a_long_reason_that_is_missing(bucket: Bucket, session: Session) -> None:
    promote(session, CHAT, 3, PRODUCTION, reason="r" * 100)
    page = first(bucket, "pages/")
    bucket.delete(page)
    assert_damage(check_registry(session), page, "the reason of generation 3")


# Garbage


@pytest.mark.parametrize(
    "key",
    [
        keys.blob(CHAT, 1, Digest("a" * 64)),
        keys.manifest(CHAT, Digest("a" * 64)),
        "blobs/acme/nothing/1/" + "a" * 64,
        "manifests/acme/nothing/" + "a" * 64 + ".json",
        "blobs/stray",
        "probe/1234/object",
    ],
)
def test_a_legal_leftover_is_garbage_and_no_damage(bucket: Bucket, session: Session, key: str) -> None:
    bucket.put(key, b"leftover", IfAbsent())
    report = check_registry(session)
    assert [finding.key for finding in report.garbage] == [key]
    assert report.damage == ()


def test_an_unfinished_upload_is_garbage(bucket: Bucket, session: Session) -> None:
    key = keys.blob(CHAT, 1, Digest("a" * 64))
    bucket.start_upload(key)
    assert [(finding.key, finding.grade) for finding in check_registry(session).findings] == [(key, "garbage")]


def test_a_page_and_a_history_block_that_nothing_names_are_kept_in_silence(bucket: Bucket, session: Session) -> None:
    bucket.put(keys.page(CHAT, Digest("a" * 64)), b"{}", IfAbsent())
    bucket.put(keys.head_history(CHAT, 1), b"{}", IfAbsent())
    assert check_registry(session).findings == ()


def test_an_alias_name_without_a_register_is_unfinished(session: Session) -> None:
    def name(old: Head | None) -> Change[Head]:
        return Change(replace(some(old), aliases=(PRODUCTION, AliasName("x"))), AuditAction.CREATE_ALIAS, target="x")

    commit_head(session, CHAT, name)
    report = check_registry(session)
    assert report.damage == ()
    assert [finding.key for finding in report.unfinished] == [keys.alias(CHAT, AliasName("x"))]
    assert "bucketry promote acme/chat:VERSION x" in report.unfinished[0].remedy


# A registry in use


def test_a_version_that_is_published_during_the_check_is_no_damage(bucket: Bucket) -> None:
    busy = _Busy(bucket)
    assert check_registry(founder(busy)).damage == ()
    assert busy.published == 1


class _Busy(Bucket):
    """A bucket in which a version is published and promoted right before the head is read."""

    def __init__(self, other: Bucket) -> None:
        super().__init__()
        self.restore(other.snapshot())
        self.published = 0

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        if key == HEAD and not self.published:
            self.published += 1
            session = founder(self)
            manifest = make_manifest(CHAT, [CONTENTS[5]], notes="meanwhile")
            version = register_version(session, PreparedVersion(manifest), Uploader(session, CHAT)).version
            promote(session, CHAT, version, PRODUCTION)
        return super().get(key, unless=unless)
