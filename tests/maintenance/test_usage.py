"""What does each model take: what its versions need, share, have twice, and what nobody needs?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, NotFoundError
from bucketry.maintenance.usage import VersionUsage, measure_model, measure_usage
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_head
from bucketry.registry.core.rows import load_row
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.versions.deletion import delete_version
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.states import State
from bucketry.schema.names import ModelName
from maintenance.planting import head_of, made, some
from simulation.actors import BASE, CHAT, CONTENTS, Uploader, make_manifest
from simulation.scenes import FEW, founder

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head
    from simulation.world import Bucket

FIRST, SECOND, THIRD = (len(CONTENTS[number]) for number in (1, 2, 3))


@pytest.fixture
def bucket() -> Bucket:
    return made(FEW)  # chat:1 to 3 have one content each; both versions of base have the first, and one of their own


@pytest.fixture
def session(bucket: Bucket) -> Session:
    return founder(bucket)


def test_what_versions_share_counts_once(session: Session) -> None:
    base, chat = measure_usage(session)
    assert (base.model, base.live_bytes, base.shared_bytes, base.versions) == (BASE, FIRST + SECOND + THIRD, FIRST, 2)
    assert (chat.model, chat.live_bytes, chat.shared_bytes, chat.versions) == (CHAT, FIRST + SECOND + THIRD, 0, 3)
    assert (base.duplicate_bytes, chat.duplicate_bytes) == (0, FIRST + SECOND + THIRD)  # base has all of it too
    assert base.reclaimable_bytes == chat.reclaimable_bytes == 0


def test_what_nobody_needs_can_be_reclaimed_at_once_in_its_figures(bucket: Bucket, session: Session) -> None:
    delete_version(session, CHAT, 3)
    bucket.put_blob(keys.blob(CHAT, 1, digest_of(b"orphan")), memoryview(b"orphan"))
    bucket.put_blob(f"{keys.blobs(CHAT)}1/strange", memoryview(b"not ours"))
    usage = measure_usage(session)[1]
    assert (usage.live_bytes, usage.reclaimable_bytes, usage.versions) == (FIRST + SECOND, THIRD + 6, 2)
    assert usage.size_bytes == FIRST + SECOND + THIRD + 6


def test_a_file_that_lies_under_two_epochs_is_a_duplicate(bucket: Bucket, session: Session) -> None:
    bucket.put_blob(keys.blob(CHAT, 2, digest_of(CONTENTS[1])), memoryview(CONTENTS[1]))
    assert measure_model(session, CHAT).duplicate_bytes == 0  # nobody needs the other one
    assert measure_model(session, CHAT).reclaimable_bytes == FIRST


def test_a_file_that_was_placed_again_is_a_duplicate_of_both_versions(bucket: Bucket, session: Session) -> None:
    def edit(head: Head | None) -> Change[Head]:
        row = replace(load_row(session, some(head), 1), placement=((2, 1),))
        return Change(replace(some(head), rows=(row, *some(head).rows[1:])), AuditAction.EDIT, target="1")

    bucket.put_blob(keys.blob(CHAT, 2, digest_of(CONTENTS[1])), memoryview(CONTENTS[1]))
    manifest = make_manifest(CHAT, [CONTENTS[1]], notes="shares")
    register_version(session, PreparedVersion(manifest), Uploader(session, CHAT))
    commit_head(session, CHAT, edit)
    usage = measure_model(session, CHAT)
    assert usage.duplicate_bytes == FIRST
    assert [each.duplicate_bytes for each in usage.by_version] == [FIRST, 0, 0, FIRST]


def test_of_each_version_what_deleting_it_would_free(session: Session) -> None:
    manifest = make_manifest(CHAT, [CONTENTS[1], CONTENTS[4], CONTENTS[4]], notes="shares")
    register_version(session, PreparedVersion(manifest), Uploader(session, CHAT))
    usage = measure_model(session, CHAT)
    own = len(CONTENTS[4])
    assert usage.by_version[0] == VersionUsage(4, State.REGISTERED, FIRST + own, own, 0)
    assert [(each.version, each.own_bytes) for each in usage.by_version[1:]] == [(3, THIRD), (2, SECOND), (1, 0)]
    assert usage.shared_bytes == FIRST


def test_a_model_that_cannot_be_read_is_named_and_others_are_measured(bucket: Bucket, session: Session) -> None:
    bucket.delete(keys.manifest(CHAT, head_of(session).rows[0].manifest))
    base, chat = measure_usage(session)
    assert base.live_bytes == FIRST + SECOND + THIRD
    assert "is missing" in chat.damaged
    with pytest.raises(CorruptError):
        measure_model(session, CHAT)
    with pytest.raises(NotFoundError):
        measure_model(session, ModelName("acme", "none"))
