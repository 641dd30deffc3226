"""What does a garbage collection free, what does it leave, and how little does it read of what has not changed?"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import RejectedError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.gc.collection import Asked, apply_collection, plan_collection
from bucketry.maintenance.gc.garbage import GarbageReason
from bucketry.maintenance.gc.kinds import DAY_SECONDS, WEEK_SECONDS
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_head, load_head
from bucketry.registry.core.rows import load_row, replace_row
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.serving.aliases import promote, unset
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.lifecycle import edit_model
from bucketry.registry.versions.listing import list_models
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.states import State
from bucketry.schema.names import ModelName
from bucketry.store.contract import Entry, Unconditional
from bucketry.store.folder.store import FolderStore
from maintenance.planting import head_of, made, publish_child, some
from simulation.actors import BASE, CHAT, CONTENTS, PRODUCTION, Uploader, make_manifest
from simulation.scenes import FEW, SEALED, founder
from simulation.world import BEGINNING, Bucket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.maintenance.gc.collection import CollectionReport
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head
    from bucketry.store.contract import ETag, Folder, Object

ORPHAN = b"nobody has published this"
DAY = timedelta(days=1)
WEEK = timedelta(days=7)


class Noting(Bucket):
    """A bucket whose clock stands where it is put, and that notes what is asked of it."""

    def __init__(self, content: Bucket) -> None:
        self.at = BEGINNING
        super().__init__(clock=lambda: self.at)
        self.restore(content.snapshot())
        self.requests: list[tuple[str, str]] = []

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        self.requests.append(("get", key))
        return super().get(key, unless=unless)

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        self.requests.append(("list", prefix))
        return super().list(prefix, delimiter=delimiter)


@pytest.fixture
def bucket() -> Noting:
    return Noting(made(FEW))


@pytest.fixture
def session(bucket: Noting) -> Session:
    return founder(bucket)


def blobs(bucket: Bucket, model: ModelName = CHAT) -> set[str]:
    return {entry.key for entry in bucket.list(keys.blobs(model)) if isinstance(entry, Entry)}


def put_orphan(bucket: Bucket, epoch: int = 1, model: ModelName = CHAT, content: bytes = ORPHAN) -> str:
    key = keys.blob(model, epoch, digest_of(content))
    bucket.put_blob(key, memoryview(content))
    return key


def what(done: CollectionReport) -> list[tuple[str, str]]:
    return [(each.key, each.reason.value) for each in done.found]


def delete_carelessly(session: Session, model: ModelName, version: int) -> None:
    """Mark a version as deleted whatever names it, as no deletion does."""

    def edit(head: Head | None) -> Change[Head]:
        row = replace(load_row(session, some(head), version), state=State.DELETED)
        changed, objects = replace_row(session, some(head), row)
        return Change(changed, AuditAction.DELETE, target=str(version), objects=objects)

    commit_head(session, model, edit)


# What is freed


def test_a_registry_in_which_all_is_needed_keeps_all(bucket: Noting, session: Session) -> None:
    before = bucket.snapshot()
    bucket.at += 2 * WEEK
    done = apply_collection(session)
    assert (done.found, done.waiting.objects, done.left_alone, done.models) == ((), 0, (), 2)
    new = bucket.snapshot().keys() - before.keys()
    assert len(new) == 1
    assert all(bucket.snapshot()[key] == before[key] for key in before)
    assert next(iter(new)).startswith(keys.COLLECTIONS)
    assert check_registry(session).findings == ()


def test_a_plan_says_what_would_go_and_writes_nothing(bucket: Noting, session: Session) -> None:
    key = put_orphan(bucket)
    bucket.at += 2 * DAY
    before = bucket.snapshot()
    done = plan_collection(session)
    assert what(done) == [(key, "orphan")]
    assert (done.applied, done.total.size_bytes) == (False, len(ORPHAN))
    assert bucket.snapshot() == before


def test_an_orphan_under_the_newest_epoch_goes_after_the_epoch_was_raised(bucket: Noting, session: Session) -> None:
    key = put_orphan(bucket)
    bucket.at += 2 * DAY
    done = apply_collection(session)
    assert what(done) == [(key, "orphan")]
    assert key not in blobs(bucket)
    assert head_of(session).epoch == 2
    assert check_registry(session).findings == ()


def test_garbage_under_an_older_epoch_costs_no_commit(bucket: Noting, session: Session) -> None:
    commit_head(session, CHAT, lambda head: Change(replace(some(head), epoch=2), AuditAction.RAISE_EPOCH))
    key = put_orphan(bucket)
    bucket.at += 2 * DAY
    before = head_of(session)
    assert what(apply_collection(session)) == [(key, "orphan")]
    assert head_of(session) == before


def test_the_files_of_a_deleted_version_go_unless_another_one_has_them(bucket: Noting, session: Session) -> None:
    manifest = make_manifest(CHAT, [CONTENTS[3]], notes="again")
    register_version(session, PreparedVersion(manifest), Uploader(session, CHAT))
    promote(session, CHAT, 1, PRODUCTION)
    delete_version(session, CHAT, 2)
    delete_version(session, CHAT, 3)
    bucket.at += 2 * DAY
    done = apply_collection(session)
    assert what(done) == [(keys.blob(CHAT, 1, digest_of(CONTENTS[2])), "deleted-version")]
    assert (done.found[0].model, done.found[0].version) == ("acme/chat", 2)
    assert blobs(bucket) == {keys.blob(CHAT, 1, digest_of(CONTENTS[number])) for number in (1, 3)}
    assert check_registry(session).findings == ()


def test_a_sealed_version_is_freed_and_the_others_stay(session: Session) -> None:
    bucket = Noting(made(SEALED))
    session = founder(bucket)
    manifest = make_manifest(CHAT, [CONTENTS[5], CONTENTS[4]], notes="another")
    register_version(session, PreparedVersion(manifest), Uploader(session, CHAT))
    before = blobs(bucket)
    unset(session, CHAT, PRODUCTION)
    for version in range(1, head_of(session).next_version):
        if version % len(CONTENTS) == 3:
            delete_version(session, CHAT, version)
    bucket.at += 2 * DAY
    apply_collection(session)
    assert before - blobs(bucket) == {keys.blob(CHAT, 1, digest_of(CONTENTS[3]))}
    assert check_registry(session).damage == ()


def test_blobs_without_a_head_go_after_one_was_made(bucket: Noting, session: Session) -> None:
    stray = ModelName("acme", "never")
    key = put_orphan(bucket, model=stray)
    bucket.at += 2 * DAY
    assert what(apply_collection(session)) == [(key, "orphan")]
    assert blobs(bucket, stray) == set()
    assert head_of(session, stray).epoch == 2
    assert [summary.model for summary in list_models(session)] == [BASE, CHAT]
    assert check_registry(session).findings == ()


def test_scratch_and_uploads_that_were_not_finished_go(bucket: Noting, session: Session) -> None:
    upload = bucket.start_upload(keys.blob(CHAT, 1, digest_of(ORPHAN)))
    bucket.upload_part(keys.blob(CHAT, 1, digest_of(ORPHAN)), upload, 1, 0, memoryview(ORPHAN))
    scratch = f"{keys.PROBE}0000/x"
    bucket.put(scratch, b"scratch", Unconditional())
    bucket.at += 2 * DAY
    assert what(apply_collection(session, Asked(grace_seconds=0))) == []  # somebody may be at it
    bucket.at += WEEK
    assert what(plan_collection(session, Asked(grace_seconds=10 * DAY_SECONDS))) == []
    done = apply_collection(session)
    assert what(done) == [(keys.blob(CHAT, 1, digest_of(ORPHAN)), "unfinished-upload"), (scratch, "probe-scratch")]
    assert (done.total.size_bytes, done.found[0].model) == (len(ORPHAN) + 7, "acme/chat")
    assert list(bucket.list_uploads("")) == []
    assert list(bucket.list(keys.PROBE)) == []


def test_half_written_files_of_a_folder_go(tmp_path: Path) -> None:
    bucket = made(FEW)
    store = FolderStore(tmp_path, durable=False)
    for entry in bucket.list(""):
        if isinstance(entry, Entry):
            store.put(entry.key, bucket.get(entry.key).body, Unconditional())
    document = json.loads(store.get(keys.REGISTRY).body)
    document["conformance"].append({"endpoint": "file", "at": "2026-03-03T12:00:00Z", "passed": True, "broken": []})
    store.put(keys.REGISTRY, json.dumps(document).encode(), Unconditional())
    staged = tmp_path / ".staging" / "1234"
    staged.parent.mkdir(exist_ok=True)
    staged.write_bytes(b"half")
    session = replace(founder(bucket), store=store)
    assert what(apply_collection(session, Asked(grace_seconds=0))) == []
    assert staged.exists()
    week_ago = time.time() - WEEK_SECONDS - 60
    os.utime(staged, (week_ago, week_ago))
    done = apply_collection(session)
    assert what(done) == [(".staging/1234", "staged-file")]
    assert done.by_reason[GarbageReason.STAGED_FILE].size_bytes == len(b"half")
    assert not staged.exists()


# What stays


def test_what_is_younger_than_the_grace_waits(bucket: Noting, session: Session) -> None:
    bucket.at += 2 * DAY
    key = put_orphan(bucket)
    bucket.at += DAY / 2
    done = apply_collection(session)
    assert (what(done), done.waiting.objects, done.waiting.size_bytes) == ([], 1, len(ORPHAN))
    assert key in blobs(bucket)
    assert head_of(session).epoch == 1
    assert what(apply_collection(session, Asked(grace_seconds=DAY_SECONDS / 4))) == [(key, "orphan")]


def test_the_grace_of_a_deleted_version_counts_from_its_deletion(bucket: Noting, session: Session) -> None:
    bucket.at += WEEK
    later = replace(session, clock=replace(session.clock, now=lambda: bucket.at))
    delete_version(later, CHAT, 3)
    bucket.at += DAY / 2
    done = apply_collection(later)
    assert (what(done), done.waiting.objects) == ([], 1)
    bucket.at += DAY
    assert len(apply_collection(later).found) == 1


def test_what_an_alias_names_stays_although_its_version_is_deleted(bucket: Noting, session: Session) -> None:
    named = load_row(session, head_of(session), 2)
    delete_carelessly(session, CHAT, 2)
    bucket.at += 2 * DAY
    for _ in range(2):  # nothing is taken for clean that a moved alias would make garbage
        assert what(apply_collection(session)) == []
        assert keys.blob(CHAT, 1, digest_of(CONTENTS[2])) in blobs(bucket)
    assert named.version == 2
    assert apply_collection(session).walked == 1


def test_what_another_version_is_made_from_stays_although_it_is_deleted(bucket: Noting, session: Session) -> None:
    publish_child(session)
    delete_carelessly(session, BASE, 1)
    before = blobs(bucket, BASE)
    bucket.at += 2 * DAY
    done = apply_collection(session)
    assert (what(done), blobs(bucket, BASE)) == ([], before)


def test_a_version_that_is_being_deleted_keeps_its_files(bucket: Noting, session: Session) -> None:
    def edit(head: Head | None) -> Change[Head]:
        row = replace(load_row(session, some(head), 3), state=State.DELETING)
        return Change(replace(some(head), rows=some(head).with_row(row)), AuditAction.BEGIN_DELETION, target="3")

    commit_head(session, CHAT, edit)
    before = blobs(bucket)
    bucket.at += 2 * DAY
    assert (what(apply_collection(session)), blobs(bucket)) == ([], before)


def test_what_lies_under_a_later_epoch_than_the_head_has_stays(bucket: Noting, session: Session) -> None:
    key = put_orphan(bucket, epoch=7)
    bucket.at += 2 * DAY
    done = apply_collection(session)
    assert (what(done), done.waiting.objects, head_of(session).epoch) == ([], 1, 1)
    assert key in blobs(bucket)


def test_what_is_no_blob_of_ours_stays(bucket: Noting, session: Session) -> None:
    strange = [f"{keys.blobs(CHAT)}1/readme.txt", f"{keys.blobs(CHAT)}01/{'a' * 64}", f"{keys.BLOBS}X/y/1/{'a' * 64}"]
    for key in strange:
        bucket.put(key, b"?", Unconditional())
    bucket.at += 2 * DAY
    assert what(apply_collection(session)) == []
    assert all(bucket.stat(key) for key in strange)


def test_a_model_whose_manifest_is_lost_is_left_alone_and_others_are_freed(bucket: Noting, session: Session) -> None:
    bucket.delete(keys.manifest(CHAT, head_of(session).rows[0].manifest))
    kept, freed = put_orphan(bucket), put_orphan(bucket, model=BASE)
    bucket.at += 2 * DAY
    done = apply_collection(session)
    assert what(done) == [(freed, "orphan")]
    assert [(each.model, each.is_damaged) for each in done.left_alone] == [("acme/chat", True)]
    assert "is missing" in done.left_alone[0].reason
    assert kept in blobs(bucket)


def test_a_model_whose_head_is_lost_is_left_alone(bucket: Noting, session: Session) -> None:
    bucket.delete(keys.head(CHAT))
    before = blobs(bucket)
    bucket.at += 2 * DAY
    done = apply_collection(session)
    assert [each.model for each in done.left_alone] == ["acme/chat"]
    assert blobs(bucket) == before


def test_a_manifest_with_other_bytes_frees_nothing(bucket: Noting, session: Session) -> None:
    digest = head_of(session).rows[0].manifest
    other = bucket.get(keys.manifest(CHAT, head_of(session).rows[1].manifest)).body
    bucket.put(keys.manifest(CHAT, digest), other, Unconditional())
    bucket.at += 2 * DAY
    assert [each.model for each in apply_collection(session).left_alone] == ["acme/chat"]


def test_who_may_not_write_may_only_plan(bucket: Noting, session: Session) -> None:
    put_orphan(bucket)
    bucket.at += 2 * DAY
    reader = replace(session, read_only=True)
    assert len(plan_collection(reader).found) == 1
    with pytest.raises(RejectedError, match="read-only"):
        apply_collection(reader)


def test_only_the_models_that_are_asked_for(bucket: Noting, session: Session) -> None:
    ours, other = put_orphan(bucket), put_orphan(bucket, model=BASE)
    bucket.put(f"{keys.PROBE}0000/x", b"scratch", Unconditional())
    bucket.at += 2 * WEEK
    assert what(plan_collection(session, Asked(models="acme/c*"))) == [(ours, "orphan")]
    assert what(plan_collection(session, Asked(models="acme/base"))) == [(other, "orphan")]
    assert what(plan_collection(session, Asked(models="other/*"))) == []
    apply_collection(session, Asked(models="acme/chat"))
    assert list(bucket.list(keys.COLLECTIONS)) == []  # that was no complete collection


# In proportion to what changed


def test_a_second_collection_reads_nothing_of_models_that_have_not_changed(bucket: Noting, session: Session) -> None:
    put_orphan(bucket)
    bucket.at += 2 * DAY
    assert apply_collection(session).walked == 2
    fresh = founder(bucket)
    bucket.requests.clear()
    done = plan_collection(fresh)
    assert (done.models, done.walked, what(done)) == (2, 0, [])
    read = [key for call, key in bucket.requests if call == "get" and not key.startswith(keys.COLLECTIONS)]
    assert set(read) == {keys.REGISTRY}
    assert plan_collection(fresh, Asked(is_full=True)).walked == 2


@pytest.mark.parametrize("change", ["head", "orphan", "blob gone"])
def test_a_model_that_changed_is_walked_again(bucket: Noting, session: Session, change: str) -> None:
    bucket.at += 2 * DAY
    apply_collection(session)
    if change == "head":
        edit_model(session, CHAT, description="another")
    elif change == "orphan":
        put_orphan(bucket, content=b"another")
    else:
        bucket.delete(next(iter(blobs(bucket))))
    bucket.at += 2 * DAY
    done = apply_collection(session)
    assert (done.walked, len(done.found)) == (1, int(change == "orphan"))
    assert plan_collection(session).walked == 0


def test_a_model_with_garbage_that_waits_is_walked_again(bucket: Noting, session: Session) -> None:
    bucket.at += 2 * DAY
    put_orphan(bucket)
    assert apply_collection(session).found == ()
    bucket.at += 2 * DAY
    assert len(apply_collection(session).found) == 1
    assert plan_collection(session).walked == 0


def test_only_what_the_newest_collection_found_is_kept_and_nobody_needs_it(bucket: Noting, session: Session) -> None:
    for _ in range(3):
        bucket.at += timedelta(seconds=5)
        apply_collection(session)
    kept = [entry.key for entry in bucket.list(keys.COLLECTIONS) if isinstance(entry, Entry)]
    assert len(kept) == 1
    bucket.put(kept[0], b"{}", Unconditional())
    assert plan_collection(session).walked == 2
    assert check_registry(session).findings == ()


def test_what_was_found_of_another_registry_is_not_believed(bucket: Noting, session: Session) -> None:
    apply_collection(session)
    key = next(entry.key for entry in bucket.list(keys.COLLECTIONS) if isinstance(entry, Entry))
    body = bucket.get(key).body.replace(session.registry.registry.encode(), b"another registry")
    bucket.delete(key)
    bucket.put(keys.collection(digest_of(body)), body, Unconditional())
    assert plan_collection(session).walked == 2


def test_bytes_wait_for_a_day_and_what_was_not_finished_for_a_week(bucket: Noting, session: Session) -> None:
    assert (DAY_SECONDS, WEEK_SECONDS) == (86_400, 604_800)
    put_orphan(bucket)
    bucket.start_upload(keys.blob(CHAT, 1, digest_of(b"x")))
    bucket.at += DAY + timedelta(seconds=1)
    assert [reason for _, reason in what(plan_collection(session))] == ["orphan"]
    bucket.at += 6 * DAY
    assert {reason for _, reason in what(plan_collection(session))} == {"orphan", "unfinished-upload"}
    assert load_head(session, CHAT).state == head_of(session)
