"""Every kind of damage is planted once, and named; a registry in use has none."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.maintenance.fsck import check_registry
from bucketry.registry.aliases import promote, unset
from bucketry.registry.commit import Change
from bucketry.registry.lifecycle import edit_model, edit_version, retire
from bucketry.registry.registers import commit_head, load_head
from bucketry.registry.registration import PreparedVersion, register_version
from bucketry.registry.rows import replace_dossier
from bucketry.schema import keys
from bucketry.schema.codec import digest_of, encode
from bucketry.schema.dossier import Cited, Dossier
from bucketry.schema.names import AliasName, Digest, ModelName
from bucketry.store.interface import Entry, IfAbsent, Unconditional
from simulation.actors import BASE, CHAT, CONTENTS, PRODUCTION, Uploader, make_manifest
from simulation.scenes import BEFORE_SEALING, FEW, SEALED, base_parent, begin, founder
from simulation.world import Bucket, SeededScript, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.maintenance.fsck import Report
    from bucketry.registry.session import Session
    from bucketry.schema.head import Head
    from bucketry.store.interface import ETag, Object
    from simulation.scenes import Beginning

HEAD = keys.head(CHAT)
ALIAS = keys.alias(CHAT, PRODUCTION)


@pytest.fixture
def bucket() -> Bucket:
    return made(FEW)


@pytest.fixture
def session(bucket: Bucket) -> Session:
    return founder(bucket)


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
    assert any(finding.key == key and words in finding.problem for finding in report.damage), report.findings


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
    for finding in check_registry(session).findings:
        assert finding.problem.endswith(".")
        assert "\n" not in finding.problem


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
    rewrite(bucket, HEAD, lambda head: _list(head, "rows").pop(1))
    assert_damage(check_registry(session), HEAD, "rows")


# The audit chain


def test_a_record_that_was_changed(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, HEAD, lambda head: _list(head, "recent")[1].update(actor="somebody else"))
    assert_damage(check_registry(session), HEAD, "does not follow")


def test_a_record_that_is_missing(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, HEAD, lambda head: _list(head, "recent").pop(1))
    assert_damage(check_registry(session), HEAD, "followed by")


def test_an_alias_record_that_was_changed(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, ALIAS, lambda alias: _list(alias, "recent")[0].update(actor="somebody else"))
    assert_damage(check_registry(session), ALIAS, "does not follow")


def test_a_registry_record_that_was_changed(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, keys.REGISTRY, lambda document: _list(document, "recent")[0].update(previous="1" * 64))
    assert_damage(check_registry(session), keys.REGISTRY, "does not follow")


def test_a_sealed_block_that_is_missing() -> None:
    bucket = made(SEALED)
    bucket.delete(keys.head_history(CHAT, 33))
    report = check_registry(founder(bucket))
    assert_damage(report, HEAD, keys.head_history(CHAT, 33))
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


# Sealed rows


def test_a_missing_directory() -> None:
    bucket = made(SEALED)
    directory = _directory(bucket)
    bucket.delete(directory)
    assert_damage(check_registry(founder(bucket)), directory, "directory")


def test_a_directory_with_other_bytes() -> None:
    bucket = made(SEALED)
    directory = _directory(bucket)
    bucket.put(directory, bucket.get(directory).body + b" ", Unconditional())
    assert_damage(check_registry(founder(bucket)), directory, "not those that were named")


def test_a_missing_page() -> None:
    bucket = made(SEALED)
    page = _page(bucket)
    bucket.delete(page)
    assert_damage(check_registry(founder(bucket)), page, "the page of versions 1 to 64, and is missing")


def test_a_page_with_other_bytes() -> None:
    bucket = made(SEALED)
    page = _page(bucket)
    bucket.put(page, bucket.get(page).body.replace(b'"registered"', b'"approved"', 1), Unconditional())
    assert_damage(check_registry(founder(bucket)), page, "not those that were named")


def test_a_page_that_does_not_hold_its_versions() -> None:
    bucket = made(SEALED)
    _replace_page(bucket, lambda page: _list(page, "rows").pop())
    assert any("does not hold exactly" in one.problem for one in check_registry(founder(bucket)).damage)


def test_a_directory_whose_index_is_wrong() -> None:
    bucket = made(SEALED)
    _replace_page(bucket, lambda _: None, index="000000")
    assert any("index of this page" in one.problem for one in check_registry(founder(bucket)).damage)


def test_a_directory_that_ends_elsewhere() -> None:
    bucket = made(SEALED)
    _replace_page(bucket, lambda page: _list(page, "rows").pop(), last=63)
    assert any("ends at version 63" in one.problem for one in check_registry(founder(bucket)).damage)


def test_sealed_rows_without_a_directory() -> None:
    bucket = made(SEALED)
    rewrite(bucket, HEAD, lambda head: head.update(sealed={"count": 64, "directory": None}))
    assert_damage(check_registry(founder(bucket)), HEAD, "no directory")


# Manifests and bytes


def test_a_missing_manifest(bucket: Bucket, session: Session) -> None:
    key = keys.manifest(CHAT, _head(session).rows[1].manifest)
    bucket.delete(key)
    assert_damage(check_registry(session), key, "manifest of version 2 is missing")


def test_a_manifest_with_other_bytes(bucket: Bucket, session: Session) -> None:
    key = keys.manifest(CHAT, _head(session).rows[1].manifest)
    bucket.put(key, bucket.get(key).body + b" ", Unconditional())
    assert_damage(check_registry(session), key, "not the bytes that its name says")


def test_a_manifest_of_another_model(bucket: Bucket, session: Session) -> None:
    digest = load_digest(session, BASE)
    key = keys.manifest(CHAT, digest)
    bucket.put(key, bucket.get(keys.manifest(BASE, digest)).body, IfAbsent())
    _change_row(session, lambda row: row.update(manifest=digest))
    assert_damage(check_registry(session), key, "another model, acme/base")


def test_a_size_that_is_not_the_manifests(session: Session) -> None:
    _change_row(session, lambda row: row.update(size_bytes=999))
    assert_damage(check_registry(session), HEAD, "999")


def test_a_placement_that_does_not_count_the_artifacts(session: Session) -> None:
    _change_row(session, lambda row: row.update(placement=[[1, 2]]))
    assert_damage(check_registry(session), HEAD, "placement of version 1")


def test_a_blob_that_is_missing(bucket: Bucket, session: Session) -> None:
    key = first(bucket, keys.blobs(CHAT))
    bucket.delete(key)
    assert_damage(check_registry(session), key, "missing")


def test_a_blob_under_another_epoch_than_the_placement(session: Session) -> None:
    _change_row(session, lambda row: row.update(placement=[[7, 1]]))
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
    _cite(session, Dossier(Digest("a" * 64)))
    assert any("another manifest" in finding.problem for finding in check_registry(session).damage)


@pytest.mark.parametrize(("body", "words"), [(None, "missing"), (b"other", "not those that were named")])
def test_a_cited_object(bucket: Bucket, session: Session, body: bytes | None, words: str) -> None:
    cited = Cited("evidence/acme/chat/x/1.json", digest_of(b"{}"))
    if body is not None:
        bucket.put(cited.key, body, IfAbsent())
    _cite(session, Dossier(_head(session).rows[0].manifest, evidence=(cited,)))
    assert_damage(check_registry(session), cited.key, words)


def test_a_child_whose_base_is_deleted(session: Session) -> None:
    publish_child(session)
    _change_row(session, lambda row: row.update(state="deleted"), model=BASE)
    assert_damage(check_registry(session), HEAD, "made from acme/base:1, which is deleted")


def test_a_child_whose_base_has_no_pin(session: Session) -> None:
    publish_child(session)
    _change_row(session, lambda row: row.pop("dossier"), model=BASE)
    assert_damage(check_registry(session), HEAD, "no pin")


def test_a_child_whose_base_is_pinned_by_others_alone(session: Session) -> None:
    publish_child(session)
    _cite(session, Dossier(load_digest(session, BASE)), model=BASE)
    assert_damage(check_registry(session), HEAD, "no pin")


def test_a_child_whose_base_is_another_version(session: Session) -> None:
    publish_child(session)
    other = _head(session, BASE).rows[1].manifest
    _change_row(session, lambda row: row.update(manifest=other), model=BASE)
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
    _change_row(session, lambda row: row.update(state="deleted"))
    assert_damage(check_registry(session), ALIAS, "which is deleted")


def test_an_alias_with_another_manifest_than_its_version(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, ALIAS, lambda alias: alias.update(manifest="a" * 64))
    assert_damage(check_registry(session), ALIAS, "another manifest")


def test_an_alias_whose_placement_holds_nothing(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, ALIAS, lambda alias: alias.update(placement=[[9, 1]]))
    assert any("the alias production" in finding.problem for finding in check_registry(session).damage)


def test_an_alias_that_the_head_does_not_know(bucket: Bucket, session: Session) -> None:
    rewrite(bucket, HEAD, lambda head: head.update(aliases=[]))
    assert_damage(check_registry(session), ALIAS, "does not know the alias production")


def test_an_alias_of_no_model(bucket: Bucket, session: Session) -> None:
    bucket.put("aliases/acme/nothing/production.json", b"{}", IfAbsent())
    assert_damage(check_registry(session), "aliases/acme/nothing/production.json", "belongs to no model")


def test_a_key_that_is_no_aliass_register(bucket: Bucket, session: Session) -> None:
    bucket.put("aliases/acme/chat/Latest.json", b"{}", IfAbsent())
    assert_damage(check_registry(session), "aliases/acme/chat/Latest.json", "not that of any alias")


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
    assert [(finding.key, finding.severity) for finding in check_registry(session).findings] == [(key, "garbage")]


def test_a_page_and_a_history_block_that_nothing_names_are_kept_in_silence(bucket: Bucket, session: Session) -> None:
    bucket.put(keys.page(CHAT, Digest("a" * 64)), b"{}", IfAbsent())
    bucket.put(keys.head_history(CHAT, 1), b"{}", IfAbsent())
    assert check_registry(session).findings == ()


def test_an_alias_name_without_a_register_is_legal(session: Session) -> None:
    commit_head(session, CHAT, lambda old: Change(replace(_some(old), aliases=(PRODUCTION, AliasName("x"))), "name"))
    assert check_registry(session).findings == ()


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


def _list(document: dict[str, object], name: str) -> list[dict[str, object]]:
    value = document[name]
    assert isinstance(value, list)
    return value


def _some(head: Head | None) -> Head:
    assert head is not None
    return head


def _head(session: Session, model: ModelName = CHAT) -> Head:
    return _some(load_head(session, model).state)


def load_digest(session: Session, model: ModelName) -> Digest:
    return _head(session, model).rows[0].manifest


def _change_row(session: Session, change: Callable[[dict[str, object]], object], model: ModelName = CHAT) -> None:
    """Change the row of version 1 by what looks like a commit."""

    def edit(document: dict[str, object]) -> None:
        change(_list(document, "rows")[0])

    store = session.store
    assert isinstance(store, Bucket)
    rewrite(store, keys.head(model), edit)


def _cite(session: Session, dossier: Dossier, model: ModelName = CHAT) -> None:
    def edit(old: Head | None) -> Change[Head]:
        head, objects = replace_dossier(session, _some(old), _some(old).rows[0], dossier)
        return Change(head, "test", objects=objects)

    commit_head(session, model, edit)


def _directory(bucket: Bucket) -> str:
    digest = _head(founder(bucket)).sealed.directory
    assert digest is not None
    return keys.page(CHAT, digest)


def _page(bucket: Bucket) -> str:
    document = json.loads(bucket.get(_directory(bucket)).body)
    return keys.page(CHAT, document["pages"][0]["page"])


def _replace_page(
    bucket: Bucket, change: Callable[[dict[str, object]], object], *, index: str = "", last: int = 64
) -> None:
    """Commit another page and a directory that names it, as a faulty program would."""
    page = json.loads(bucket.get(_page(bucket)).body)
    change(page)
    body = encode(page)
    directory = json.loads(bucket.get(_directory(bucket)).body)
    entry = directory["pages"][0]
    entry |= {"page": digest_of(body), "last": last}
    entry["manifests"] = index + entry["manifests"][len(index) : 6 * last]
    listing = encode(directory)
    for one in (body, listing):
        key = keys.page(CHAT, digest_of(one))
        bucket.put(key, one, Unconditional())
    rewrite(bucket, HEAD, lambda head: head.update(sealed={"count": 64, "directory": digest_of(listing)}))
