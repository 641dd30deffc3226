"""One scenario for each sentence of the format about the epoch fence and about operations on two registers.

Collection and deletion are acted by the smallest programs that follow the format (`keepers.py`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import NotFoundError, RejectedError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_head, load_alias, load_head
from bucketry.registry.core.rows import load_dossier, load_row
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.serving.aliases import promote
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.states import State
from bucketry.schema.names import AliasName, ModelName
from bucketry.store.contract import Entry
from simulation.actors import BASE, CHAT, CONTENTS, PRODUCTION, Attempt, Uploader, make_manifest
from simulation.keepers import collecting, deleting
from simulation.mutants import with_a_deletion_of_any_generation, with_pins_dropped_unfenced
from simulation.scenes import FEW, base_parent, begin, founder
from simulation.world import Bucket, SeededScript, World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.dossier import Pin
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.manifest import Artifact, Parent
    from bucketry.store.contract import Condition, ETag, Object
    from simulation.actors import Operation

STAGING = AliasName("staging")


class Watched(Bucket):
    """A bucket that lets another program act right before a chosen request, and that notes all requests."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[tuple[str, str]] = []
        self.before: dict[tuple[str, str], Callable[[], None]] = {}

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        self._meet("get", key)
        return super().get(key, unless=unless)

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        self._meet("put", key)
        return super().put(key, body, condition)

    def _meet(self, call: str, key: str) -> None:
        self.requests.append((call, key))
        act = self.before.pop((call, key), None)
        if act is not None:
            act()


@pytest.fixture
def bucket() -> Watched:
    watched = Watched()
    world = World(SeededScript(0))
    begin(world, FEW)
    watched.restore(world.bucket.snapshot())
    return watched


@pytest.fixture
def session(bucket: Watched) -> Session:
    return founder(bucket)


def other(bucket: Watched, operation: Operation) -> None:
    """Let another program do its whole operation now."""
    operation.act(founder(bucket), Attempt(operation.kind, operation.register, "acknowledged", ()))


def publish(
    session: Session,
    *,
    content: bytes = CONTENTS[5],
    parent: Parent | None = None,
    upload: Callable[[int, Sequence[Artifact]], int] | None = None,
    model: ModelName = CHAT,
) -> int:
    parents = (parent,) if parent else ()
    manifest = make_manifest(model, [content], notes="published", parents=parents)
    return register_version(session, PreparedVersion(manifest), upload or Uploader(session, model)).version


def row_of(session: Session, model: ModelName, version: int) -> Row:
    head = load_head(session, model).state
    assert head is not None
    return load_row(session, head, version)


def assert_whole(session: Session) -> None:
    assert check_registry(session).damage == ()


# The alias


def test_a_promoter_commits_the_name_of_a_new_alias_to_the_head_first(session: Session, bucket: Watched) -> None:
    promote(session, CHAT, 1, STAGING)
    writes = [key for call, key in bucket.requests if call == "put"]
    assert writes == [keys.head(CHAT), keys.alias(CHAT, STAGING)]
    head = load_head(session, CHAT).state
    assert head is not None
    assert STAGING in head.aliases


def test_a_promoter_reads_the_alias_and_then_the_head(session: Session, bucket: Watched) -> None:
    alias, head = keys.alias(CHAT, PRODUCTION), keys.head(CHAT)
    promote(session, CHAT, 3, PRODUCTION)
    ours = [request for request in bucket.requests if request[1] in {alias, head}]
    assert ours == [("get", alias), ("get", head), ("put", alias)]


def test_a_promoter_of_a_new_alias_decides_on_the_head_that_has_its_name(session: Session, bucket: Watched) -> None:
    bucket.before["put", keys.head(CHAT)] = lambda: other(bucket, deleting(3))
    with pytest.raises(NotFoundError, match="deleted"):
        promote(session, CHAT, 3, STAGING)
    assert load_alias(session, CHAT, STAGING).state is None
    assert_whole(session)


def test_every_attempt_reads_the_head_again_after_the_alias(session: Session, bucket: Watched) -> None:
    alias = keys.alias(CHAT, PRODUCTION)
    bucket.before["put", alias] = lambda: _promote_by_another(bucket, 3)
    promote(session, CHAT, 1, PRODUCTION)
    ours = [request for request in bucket.requests if request[1] in {alias, keys.head(CHAT)}]
    assert ours[-3:] == [("get", alias), ("get", keys.head(CHAT)), ("put", alias)]
    state = load_alias(session, CHAT, PRODUCTION).state
    assert state is not None
    assert state.target is not None
    assert state.target.version == 1


def test_an_alias_is_named_in_the_head_although_its_promoter_died(session: Session, bucket: Watched) -> None:
    bucket.before["put", keys.alias(CHAT, STAGING)] = _die
    with pytest.raises(KeyboardInterrupt):
        promote(session, CHAT, 1, STAGING)
    assert load_alias(session, CHAT, STAGING).state is None
    assert_whole(session)
    assert promote(founder(bucket), CHAT, 1, STAGING).generation == 1


# "A promoter that has not seen `deleting` loses its CAS."


@pytest.mark.parametrize("alias", [PRODUCTION, STAGING])
def test_a_promoter_that_has_not_seen_the_deletion_loses(session: Session, bucket: Watched, alias: AliasName) -> None:
    bucket.before["put", keys.alias(CHAT, alias)] = lambda: other(bucket, deleting(3))
    with pytest.raises(NotFoundError, match="deleted"):
        promote(session, CHAT, 3, alias)
    assert_whole(session)


@pytest.mark.parametrize("moment", ["get alias", "get head"])
def test_a_promoter_that_comes_after_the_deletion_sees_it(session: Session, bucket: Watched, moment: str) -> None:
    key = {"alias": keys.alias(CHAT, PRODUCTION), "head": keys.head(CHAT)}[moment.removeprefix("get ")]
    bucket.before["get", key] = lambda: other(bucket, deleting(3))
    with pytest.raises(NotFoundError, match="deleted"):
        promote(session, CHAT, 3, PRODUCTION)
    assert_whole(session)


def test_a_deletion_that_meets_its_version_in_an_alias_is_taken_back(session: Session, bucket: Watched) -> None:
    promote(session, CHAT, 3, PRODUCTION)
    with pytest.raises(RejectedError, match="production names version 3"):
        other(bucket, deleting(3))
    assert row_of(session, CHAT, 3).state == "registered"
    assert_whole(session)


def _race_two_deletions(session: Session, bucket: Watched) -> None:
    """Let a slow deletion of version 3 end while a later one of the same version is under way and an alias names it."""
    promote(session, CHAT, 1, STAGING)
    promote(session, CHAT, 3, STAGING)

    def meanwhile() -> None:
        # The first deleter has touched production and is about to look at staging.
        with pytest.raises(RejectedError, match="staging names version 3"):
            other(bucket, deleting(3))  # resumes the deletion, and takes it back
        promote(founder(bucket), CHAT, 3, PRODUCTION)
        promote(founder(bucket), CHAT, 1, STAGING)
        bucket.before["put", keys.alias(CHAT, PRODUCTION)] = _die
        bucket.before["get", keys.alias(CHAT, PRODUCTION)] = _die
        with pytest.raises(KeyboardInterrupt):
            other(bucket, deleting(3))  # begins another, and dies before it looks at any alias

    bucket.before["get", keys.alias(CHAT, STAGING)] = meanwhile
    with suppress(RejectedError):
        other(bucket, deleting(3))


def test_a_deletion_is_finished_only_by_those_who_walked_since_it_began(session: Session, bucket: Watched) -> None:
    _race_two_deletions(session, bucket)
    assert row_of(session, CHAT, 3).state == "deleting"
    assert_whole(session)


def test_without_the_generation_a_version_that_an_alias_names_would_be_deleted(
    session: Session, bucket: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_deletion_of_any_generation(monkeypatch)
    _race_two_deletions(session, bucket)
    assert check_registry(session).damage


# A base and its children


def test_the_pin_is_committed_before_the_child(session: Session, bucket: Watched) -> None:
    publish(session, parent=base_parent(1))
    heads = [key for call, key in bucket.requests if call == "put" and key.startswith(keys.HEADS)]
    assert heads == [keys.head(BASE), keys.head(CHAT)]
    assert_whole(session)


def test_the_pin_carries_the_epoch_of_the_childs_head(session: Session, bucket: Watched) -> None:
    other(bucket, collecting())
    publish(session, parent=base_parent(1))
    assert [(pin.model, pin.epoch) for pin in _pins(session, BASE, 1)] == [(CHAT, 2)]


def test_the_pin_is_verified_after_the_childs_head_was_read(session: Session, bucket: Watched) -> None:
    publish(session, parent=base_parent(1))
    bucket.requests.clear()
    publish(session, parent=base_parent(1))
    child_read = max(n for n, request in enumerate(bucket.requests) if request == ("get", keys.head(CHAT)))
    assert ("get", keys.head(BASE)) in bucket.requests[child_read:]


def test_the_pin_is_renewed_on_the_attempt_after_a_raised_epoch(session: Session, bucket: Watched) -> None:
    bucket.before["put", keys.head(CHAT)] = lambda: other(bucket, collecting())
    publish(session, parent=base_parent(1))
    assert [(pin.model, pin.epoch) for pin in _pins(session, BASE, 1)] == [(CHAT, 2)]
    assert_whole(session)


@pytest.mark.parametrize("state", ["deleting", "deleted"])
def test_a_pin_is_refused_for_a_base_that_is_going(session: Session, bucket: Watched, state: str) -> None:
    if state == "deleted":
        other(bucket, deleting(1, model=BASE))
    else:
        _begin_deleting(session)
    with pytest.raises((RejectedError, NotFoundError)):
        publish(session, parent=base_parent(1))
    head = load_head(session, CHAT).state
    assert head is not None
    assert head.next_version == 4


def test_a_pin_of_a_child_that_never_came_is_dropped_once_its_head_is_fenced(session: Session, bucket: Watched) -> None:
    bucket.before["put", keys.head(CHAT)] = _die
    with pytest.raises(KeyboardInterrupt):
        publish(session, parent=base_parent(1))
    other(bucket, deleting(1, model=BASE))
    head = load_head(session, CHAT).state
    assert head is not None
    assert head.epoch == 2
    assert_whole(session)


def test_a_child_on_its_way_loses_to_the_deletion_of_its_base(session: Session, bucket: Watched) -> None:
    bucket.before["put", keys.head(CHAT)] = lambda: other(bucket, deleting(1, model=BASE))
    with pytest.raises((RejectedError, NotFoundError)):
        publish(session, parent=base_parent(1))
    assert_whole(session)


def test_without_the_fence_that_child_would_have_lost_its_base(
    session: Session, bucket: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_pins_dropped_unfenced(monkeypatch)
    bucket.before["put", keys.head(CHAT)] = lambda: other(bucket, deleting(1, model=BASE))
    publish(session, parent=base_parent(1))
    assert check_registry(session).damage


def test_a_live_child_keeps_its_base(session: Session, bucket: Watched) -> None:
    child = publish(session, parent=base_parent(1))
    with pytest.raises(RejectedError, match="is the base of versions of acme/chat"):
        other(bucket, deleting(1, model=BASE))
    other(bucket, deleting(child))
    other(bucket, deleting(1, model=BASE))
    assert_whole(session)


def test_a_base_that_is_deleted_between_the_attempts_is_noticed(session: Session, bucket: Watched) -> None:
    bucket.before["put", keys.head(BASE)] = lambda: other(bucket, deleting(1, model=BASE))
    with pytest.raises(RejectedError, match="deleted"):
        publish(session, parent=base_parent(1))
    assert_whole(session)


def test_a_base_in_the_same_model_is_pinned_by_the_same_commit(session: Session, bucket: Watched) -> None:
    parent = replace(base_parent(1), model=CHAT, manifest=row_of(session, CHAT, 1).manifest)
    publish(session, parent=parent)
    assert [call for call, key in bucket.requests if key == keys.head(CHAT)].count("put") == 1
    assert [pin.model for pin in _pins(session, CHAT, 1)] == [CHAT]
    assert_whole(session)


# The epoch fence


def test_a_publish_prepared_before_the_epoch_was_raised_loses_and_uploads_again(
    session: Session, bucket: Watched
) -> None:
    uploads = []

    def upload(epoch: int, artifacts: Sequence[Artifact]) -> int:
        uploads.append(epoch)
        return Uploader(session, CHAT)(epoch, artifacts)

    bucket.before["put", keys.head(CHAT)] = lambda: other(bucket, collecting())
    version = publish(session, upload=upload)
    assert uploads == [1, 2]
    assert row_of(session, CHAT, version).placement == ((2, 1),)
    assert_whole(session)


def test_a_collection_before_the_first_version_raises_the_epoch_too(session: Session, bucket: Watched) -> None:
    model = ModelName("acme", "new")
    bucket.before["put", keys.head(model)] = lambda: other(bucket, collecting(model))
    version = publish(session, model=model)
    assert (version, row_of(session, model, version).placement) == (1, ((2, 1),))
    assert_whole(session)


def test_bytes_that_a_live_version_names_are_not_uploaded_again(session: Session, bucket: Watched) -> None:
    other(bucket, collecting())
    version = publish(session, content=CONTENTS[1])  # those of version 1
    assert row_of(session, CHAT, version).placement == ((1, 1),)
    assert_whole(session)


def test_bytes_whose_version_is_deleted_meanwhile_are_uploaded_again(session: Session, bucket: Watched) -> None:
    def delete_and_collect() -> None:
        other(bucket, deleting(1))
        other(bucket, collecting())

    bucket.before["put", keys.head(CHAT)] = delete_and_collect
    version = publish(session, content=CONTENTS[1])
    assert row_of(session, CHAT, version).placement == ((2, 1),)
    assert_whole(session)


def test_only_deleted_versions_free_their_bytes(session: Session, bucket: Watched) -> None:
    before = _blobs(bucket)
    _begin_deleting(session, CHAT, 1)
    other(bucket, collecting())
    assert _blobs(bucket) == before


def test_a_deleted_version_frees_its_bytes(session: Session, bucket: Watched) -> None:
    before = _blobs(bucket)
    other(bucket, deleting(1))
    other(bucket, collecting())
    assert len(before - _blobs(bucket)) == 1
    assert_whole(session)


def _begin_deleting(session: Session, model: ModelName = BASE, version: int = 1) -> None:
    def edit(head: Head | None) -> Change[Head]:
        assert head is not None
        row = replace(load_row(session, head, version), state=State.DELETING)
        return Change(replace(head, rows=head.with_row(row)), AuditAction.DELETE, target=str(version))

    commit_head(session, model, edit)


def _pins(session: Session, model: ModelName, version: int) -> Sequence[Pin]:
    head = load_head(session, model).state
    assert head is not None
    return load_dossier(session, head, load_row(session, head, version)).dependents


def _blobs(bucket: Watched) -> set[str]:
    return {entry.key for entry in bucket.list(keys.blobs(CHAT)) if isinstance(entry, Entry)}


def _promote_by_another(bucket: Watched, version: int) -> None:
    promote(founder(bucket), CHAT, version, PRODUCTION)


def _die() -> None:
    raise KeyboardInterrupt
