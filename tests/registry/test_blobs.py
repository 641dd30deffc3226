from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.client import Registry
from bucketry.errors import BucketryError, CorruptError, UnavailableError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.commit import Change
from bucketry.registry.core.opening import open_session
from bucketry.registry.core.registers import commit_head, load_head
from bucketry.registry.publishing import blobs
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.names import parse_model_name
from bucketry.store.contract import Entry, ObjectNotFoundError
from bucketry.transfer.disk import hashing
from registry.opened import make_registry
from transfer.helpers import HookedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bucketry.schema.documents.head import Head

MODEL = parse_model_name("acme/chat")
CHUNK_BYTES = 4096
CHUNKS = 50


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Return a registry in a folder, whose chunks are small and whose store can be watched."""
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setattr(hashing, "SMALLEST_CHUNK_BYTES", CHUNK_BYTES)
    monkeypatch.setattr(blobs, "SMALLEST_COPY_SOURCE_BYTES", CHUNK_BYTES + 1)
    make_registry(tmp_path / "registry", "owner@example.org")
    session = open_session(str(tmp_path / "registry"), identity="trainer@example.org")
    with Registry(replace(session, store=HookedStore(session.store.unretried))) as opened:
        yield opened


@pytest.fixture
def store(registry: Registry) -> Any:
    return registry.session.store


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "out" / "weights.bin"
    file.parent.mkdir()
    file.write_bytes(Random(1).randbytes(CHUNKS * CHUNK_BYTES))
    return file


def change_chunks(file: Path, count: int) -> None:
    body = bytearray(file.read_bytes())
    for index in range(0, count * 7, 7):
        body[index * CHUNK_BYTES] ^= 1
    file.write_bytes(body)


def raise_epoch(registry: Registry) -> None:
    def edit(head: Head | None) -> Change[Head]:
        assert head is not None
        return Change(replace(head, epoch=head.epoch + 1), AuditAction.RAISE_EPOCH)

    commit_head(registry.session, MODEL, edit)


def test_a_tenth_of_changed_chunks_uploads_at_most_twelve_percent(
    registry: Registry, weights: Path, tmp_path: Path
) -> None:
    first = registry.publish(str(MODEL), [weights.parent])
    assert first.uploaded_bytes == CHUNKS * CHUNK_BYTES
    change_chunks(weights, CHUNKS // 10)
    second = registry.publish(str(MODEL), [weights.parent])
    assert 0 < second.uploaded_bytes <= 0.12 * CHUNKS * CHUNK_BYTES
    assert second.uploaded_bytes + second.reused_bytes == second.size_bytes
    assert check_registry(registry.session, deep=True).damage == ()
    registry.pull(f"{MODEL}:2", tmp_path / "pulled")
    assert (tmp_path / "pulled" / "weights.bin").read_bytes() == weights.read_bytes()


def test_files_that_a_live_version_has_are_not_sent(registry: Registry, weights: Path, store: Any) -> None:
    registry.publish(str(MODEL), [weights.parent])
    (weights.parent / "config.json").write_text("{}")
    store.calls.clear()
    second = registry.publish(str(MODEL), [weights.parent])
    assert second.uploaded_bytes == 2
    assert "upload_part" not in store.calls
    assert "copy_part" not in store.calls


def test_a_source_that_is_gone_is_sent(registry: Registry, weights: Path, store: Any) -> None:
    registry.publish(str(MODEL), [weights.parent])
    change_chunks(weights, 1)

    def gone(*_: Any, **__: Any) -> None:
        raise ObjectNotFoundError("collected")

    store.hooks["copy_part"] = gone
    assert registry.publish(str(MODEL), [weights.parent]).uploaded_bytes == CHUNKS * CHUNK_BYTES
    assert check_registry(registry.session, deep=True).damage == ()


def test_bytes_sent_before_a_collection_are_placed_again_under_its_epoch(
    registry: Registry, weights: Path, store: Any, tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("first")
    registry.publish(str(MODEL), [tmp_path / "note.txt"])
    epoch = load_head(registry.session, MODEL).state.epoch  # type: ignore[union-attr]

    def collect_after_the_upload(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        method(*arguments, **named)
        del store.hooks["complete_upload"]
        raise_epoch(registry)

    store.hooks["complete_upload"] = collect_after_the_upload
    published = registry.publish(str(MODEL), [weights.parent])
    assert published.uploaded_bytes == CHUNKS * CHUNK_BYTES
    assert store.calls.count("copy_part") == CHUNKS  # from what was sent under the earlier epoch
    placed = [e.key for e in store.list(keys.blobs(MODEL)) if isinstance(e, Entry)]
    assert any(key.startswith(f"{keys.blobs(MODEL)}{epoch + 1}/") for key in placed)
    # Nothing else is needed: all of the earlier epoch may go.
    for key in placed:
        if key.startswith(f"{keys.blobs(MODEL)}{epoch}/") and store.stat(key).size_bytes > 5:
            store.delete(key)
    assert check_registry(registry.session, deep=True).damage == ()


def test_a_collection_during_the_commit_makes_it_look_again(registry: Registry, weights: Path, store: Any) -> None:
    def collect_first(method: Callable[..., Any], key: str, *arguments: Any, **named: Any) -> Any:
        if key == keys.head(MODEL):
            del store.hooks["put"]
            raise_epoch(registry)
        return method(key, *arguments, **named)

    registry.publish(str(MODEL), [weights.parent])
    change_chunks(weights, 2)
    store.hooks["put"] = collect_first
    published = registry.publish(str(MODEL), [weights.parent])
    head = load_head(registry.session, MODEL).state
    assert head is not None
    assert head.rows[-1].version == published.version
    assert head.rows[-1].placement == ((head.epoch, 1),)
    assert check_registry(registry.session, deep=True).damage == ()


def test_bytes_are_hashed_once_and_sent_once(
    registry: Registry, weights: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    digested: list[Path] = []
    digest = hashing.Digester.digest

    def note(digester: Any, path: Path, advance: Callable[[int], None]) -> Any:
        digested.append(path)
        return digest(digester, path, advance)

    monkeypatch.setattr(hashing.Digester, "digest", note)
    registry.publish(str(MODEL), [weights.parent])
    assert digested == [weights]
    assert store.calls.count("upload_part") == CHUNKS


def test_what_cannot_be_written_into_the_manifest_is_refused_before_anything_is_sent(
    registry: Registry, weights: Path, store: Any
) -> None:
    with pytest.raises((BucketryError, ValueError, TypeError)):
        registry.publish(str(MODEL), [weights.parent], parameters={"learning rate": object()})
    assert "upload_part" not in store.calls
    assert "start_upload" not in store.calls


def test_uploads_abandoned_for_a_week_are_ended_and_younger_ones_stay(
    registry: Registry, weights: Path, store: Any, tmp_path: Path
) -> None:
    old, young = (store.start_upload(f"{keys.blobs(MODEL)}1/{name * 64}") for name in "ab")
    other = store.start_upload(f"{keys.BLOBS}acme/chat-2/1/{'c' * 64}")
    eight_days_ago = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    for upload_id in (old, other):
        (key_file,) = (tmp_path / "registry").glob(f".staging/uploads/{upload_id}/key")
        os.utime(key_file, (eight_days_ago, eight_days_ago))
    registry.publish(str(MODEL), [weights.parent])
    assert {upload_id for _, upload_id, _ in store.list_uploads("")} == {young, other}


def test_a_publish_does_not_fail_because_nobody_can_list_uploads(registry: Registry, weights: Path, store: Any) -> None:
    asked: list[str] = []

    def fail(method: Callable[..., Any], prefix: str) -> Any:
        asked.append(prefix)
        if prefix == keys.blobs(MODEL):  # after the commit, for those of the model
            raise UnavailableError("no")
        return method(prefix)  # before it, for an upload to go on with

    store.hooks["list_uploads"] = fail
    assert registry.publish(str(MODEL), [weights.parent]).created
    assert asked.count(keys.blobs(MODEL)) == 1


def test_a_publish_of_small_files_does_not_look_for_uploads(registry: Registry, weights: Path, store: Any) -> None:
    (weights.parent / "small.txt").write_text("small")
    assert registry.publish(str(MODEL), [weights.parent / "small.txt"]).created
    assert "list_uploads" not in store.calls


def test_bytes_that_were_deleted_behind_the_registry_are_stored_again(
    registry: Registry, weights: Path, store: Any
) -> None:
    registry.publish("acme/chat", [weights])
    [blob] = [entry.key for entry in store.list(keys.blobs(MODEL))]
    store.delete(blob)
    second = registry.publish("acme/chat", [weights])
    assert second.uploaded_bytes == CHUNKS * CHUNK_BYTES
    assert check_registry(registry.session, deep=True).findings == ()


def test_a_blob_of_another_size_is_not_reused(registry: Registry, weights: Path, store: Any) -> None:
    registry.publish("acme/chat", [weights])
    [blob] = [entry.key for entry in store.list(keys.blobs(MODEL))]
    store.delete(blob)
    store.put_blob(blob, memoryview(b"short"))
    with pytest.raises(CorruptError, match="has 5 bytes"):
        registry.publish("acme/chat", [weights])
