from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import ContendedError, NotFoundError, RejectedError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_head, load_head
from bucketry.registry.core.rows import load_dossier, load_row
from bucketry.registry.publishing.registration import PreparedVersion, find_published, register_version
from bucketry.registry.versions.lifecycle import edit_version
from bucketry.schema import keys
from bucketry.schema.codec import encode
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.head import LARGEST_ROW_BYTES
from bucketry.schema.documents.manifest import Lineage, Parent
from bucketry.schema.names import Digest, ModelName
from bucketry.store.contract import PreconditionFailedError
from simulation.actors import BASE, CHAT, CONTENTS, Uploader, make_manifest
from simulation.scenes import FEW, SEALED, base_parent, begin, founder
from simulation.world import SeededScript, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.registry.core.session import Session
    from bucketry.registry.publishing.registration import RegisteredVersion
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.manifest import Artifact
    from simulation.scenes import Beginning

NEW = ModelName("acme", "new")


def opened(beginning: Beginning = FEW) -> Session:
    world = World(SeededScript(0))
    begin(world, beginning)
    return founder(world.bucket)


@pytest.fixture
def session() -> Session:
    return opened()


def publish(
    session: Session,
    *contents: bytes,
    model: ModelName = CHAT,
    key: str | None = None,
    notes: str = "",
    parents: tuple[Parent, ...] = (),
) -> RegisteredVersion:
    manifest = make_manifest(model, contents or (CONTENTS[4],), notes=notes, parents=parents)
    return register_version(session, PreparedVersion(manifest, idempotency_key=key), Uploader(session, model))


def row(session: Session, version: int, model: ModelName = CHAT) -> Row:
    head = load_head(session, model).state
    assert head is not None
    return load_row(session, head, version)


def test_the_first_version_of_a_model_is_1(session: Session) -> None:
    assert [publish(session, model=NEW).version for _ in range(3)] == [1, 2, 3]


def test_what_was_sent_and_what_was_reused_is_told(session: Session) -> None:
    first = publish(session, CONTENTS[4], CONTENTS[5])
    assert (first.uploaded_bytes, first.reused_bytes, first.size_bytes) == (13, 0, 13)
    second = publish(session, CONTENTS[4], CONTENTS[3], notes="second")
    assert (second.uploaded_bytes, second.reused_bytes, second.size_bytes) == (0, 11, 11)


@pytest.mark.parametrize("beginning", [FEW, SEALED])
def test_the_same_key_again_is_the_same_version(beginning: Beginning) -> None:
    session = opened(beginning)
    first = publish(session, key="run 17")
    again = publish(founder(session.store), key="run 17", notes="built again")  # type: ignore[arg-type]
    assert (first.created, again.created) == (True, False)
    assert (again.version, again.manifest) == (first.version, first.manifest)
    assert find_published(session, CHAT, "run 17") == again


def test_a_key_is_found_in_sealed_rows_too() -> None:
    session = opened()
    first = publish(session, key="run 17")
    for number in range(130):
        publish(session, notes=str(number))
    head = load_head(session, CHAT).state
    assert head is not None
    assert head.sealed.count > first.version
    assert publish(session, key="run 17", notes="again").version == first.version
    assert find_published(founder(session.store), CHAT, "run 18") is None  # type: ignore[arg-type]


def test_without_a_key_nothing_is_looked_for(session: Session) -> None:
    assert find_published(session, CHAT, None) is None
    assert find_published(session, NEW, "run 17") is None


def test_two_keys_are_two_versions(session: Session) -> None:
    assert publish(session, key="a").version != publish(session, key="b", notes="b").version


def test_a_row_has_room_for_its_dossier_whatever_its_metrics(session: Session) -> None:
    manifest = make_manifest(CHAT, [CONTENTS[4]], notes="m")
    headline = {f"a-metric-with-a-long-name-{'x' * 60}-{number}": 0.123456789 for number in range(8)}
    prepared = PreparedVersion(manifest, headline, {"label": "l" * 200}, "key")
    version = register_version(session, prepared, Uploader(session, CHAT)).version
    shown = row(session, version)
    assert 0 < len(shown.metrics) < 8
    assert list(shown.metrics) == list(headline)[: len(shown.metrics)]
    edit_version(session, CHAT, version, notes="there is room for this")
    assert len(str(row(session, version).dossier)) == 64
    assert len(encode(row(session, version).to_document())) <= LARGEST_ROW_BYTES


def test_a_base_that_is_not_there_is_refused(session: Session) -> None:
    for parent in (
        replace(base_parent(1), version=3),
        replace(base_parent(1), manifest=Digest("a" * 64)),
        replace(base_parent(1), model=NEW),
    ):
        with pytest.raises(NotFoundError):
            publish(session, parents=(parent,))
    assert row(session, 3).version == 3
    with pytest.raises(NotFoundError):
        row(session, 4)


def test_every_parent_is_pinned_and_the_first_is_the_base(session: Session) -> None:
    version = publish(session, parents=(base_parent(2), base_parent(1))).version
    assert row(session, version).base == "acme/base:2"
    head = load_head(session, BASE).state
    assert head is not None
    for number in (1, 2):
        pins = load_dossier(session, head, load_row(session, head, number)).dependents
        assert [pin.model for pin in pins] == [CHAT]
    assert check_registry(session).findings == ()


def test_a_pin_in_a_sealed_row_of_the_same_model() -> None:
    session = opened(SEALED)
    old = row(session, 7)
    version = publish(session, parents=(Parent(CHAT, 7, old.manifest, "finetune"),)).version
    head = load_head(founder(session.store), CHAT).state  # type: ignore[arg-type]
    assert head is not None
    assert [pin.model for pin in load_dossier(session, head, load_row(session, head, 7)).dependents] == [CHAT]
    assert version == 191
    assert check_registry(session).findings == ()


def test_a_pin_that_holds_costs_no_second_commit(session: Session) -> None:
    publish(session, parents=(base_parent(1),))
    before = load_head(session, BASE).etag
    publish(session, parents=(base_parent(1),), notes="second child")
    assert load_head(session, BASE).etag == before


def test_a_version_without_files_is_refused(session: Session) -> None:
    manifest = replace(make_manifest(CHAT, [CONTENTS[1]], notes=""), artifacts=(), lineage=Lineage())
    with pytest.raises(RejectedError, match="no file"):
        register_version(session, PreparedVersion(manifest), Uploader(session, CHAT))


def test_a_placement_in_too_many_pieces_is_uploaded_again_under_one_epoch(session: Session) -> None:
    contents = [b"%d" % number for number in range(40)]
    known = {content: make_manifest(CHAT, [content], notes="") for content in contents}

    def upload(epoch: int, artifacts: Sequence[Artifact]) -> int:
        return sum(_store(session, epoch, artifact, contents) for artifact in artifacts)

    for content in contents[::2]:
        _raise_epoch(session)
        register_version(session, PreparedVersion(known[content]), upload)
    manifest = make_manifest(CHAT, contents, notes="all")
    version = register_version(session, PreparedVersion(manifest), upload).version
    assert len(row(session, version).placement) <= 16
    assert check_registry(session, deep=True).damage == ()


def test_a_collection_that_never_rests_is_contention(session: Session) -> None:
    def upload(epoch: int, artifacts: Sequence[Artifact]) -> int:
        done = Uploader(session, CHAT)(epoch, artifacts)
        _raise_epoch(session)
        return done

    with pytest.raises(ContendedError, match="kept outrunning"):
        register_version(session, PreparedVersion(make_manifest(CHAT, [CONTENTS[5]], notes="")), upload)


def _raise_epoch(session: Session) -> None:
    def edit(head: Head | None) -> Change[Head]:
        assert head is not None
        return Change(replace(head, epoch=head.epoch + 1), AuditAction.RAISE_EPOCH)

    commit_head(session, CHAT, edit)


def _store(session: Session, epoch: int, artifact: Artifact, contents: list[bytes]) -> int:
    content = next(
        one for one in contents if make_manifest(CHAT, [one], notes="").artifacts[0].sha256 == artifact.sha256
    )
    try:
        session.store.put_blob(keys.blob(CHAT, epoch, artifact.sha256), memoryview(content))
    except PreconditionFailedError:
        return 0
    return len(content)
