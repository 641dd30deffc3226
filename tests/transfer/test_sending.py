from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import DeniedError, RejectedError, UnavailableError, UnsupportedError
from bucketry.store.contract import IfAbsent, ObjectNotFoundError, Part, PreconditionFailedError, SlowDownError
from bucketry.store.folder.store import FolderStore
from bucketry.store.memory import MemoryStore
from bucketry.transfer.pace.workers import Interrupted
from bucketry.transfer.up.outgoing import ChunkPlace
from transfer.helpers import CHUNK_BYTES, CONTENTS, HASTY, IMPATIENT, hooked, local_files, upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bucketry.transfer.pace.progress import Progress
    from bucketry.transfer.up.upload import LocalFile

LARGE = "weights/deep/over.bin"
PARTS = 5
BODY = CONTENTS[LARGE]


@pytest.fixture(params=["memory", "folder"])
def spied(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "memory":
        return hooked(MemoryStore())
    (tmp_path / "bucket").mkdir()
    return hooked(FolderStore(tmp_path / "bucket", durable=False))


@pytest.fixture
def large(tmp_path: Path) -> LocalFile:
    return local_files(tmp_path / "out", {LARGE: BODY})[0]


def interrupt(store: Any, file: LocalFile, after_parts: int) -> None:
    """Upload until so many parts are there, then stop."""
    stop = threading.Event()
    sent = 0

    def stop_after(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        nonlocal sent
        part = method(*arguments, **named)
        sent += 1
        if sent == after_parts:
            stop.set()
        return part

    store.hooks["upload_part"] = stop_after
    with pytest.raises(Interrupted):
        upload(store, [file], connections=1, stop=stop)
    del store.hooks["upload_part"]
    store.calls.clear()


def test_an_interrupted_upload_goes_on_where_it_ended(spied: Any, large: LocalFile) -> None:
    interrupt(spied, large, after_parts=3)
    (uploaded,) = upload(spied, [large])
    assert spied.calls.count("upload_part") == PARTS - 3
    assert spied.calls.count("start_upload") == 0
    assert uploaded.uploaded_bytes == len(BODY) - 3 * CHUNK_BYTES
    assert spied.get(large.key).body == BODY
    assert list(spied.list_uploads("")) == []


def test_the_upload_with_the_most_parts_is_the_one_that_goes_on(spied: Any, large: LocalFile) -> None:
    def begin(parts: int) -> None:
        upload_id = spied.start_upload(large.key)
        for index, sha256 in enumerate(large.digest.chunks.sha256[:parts]):
            start = index * CHUNK_BYTES
            body = memoryview(BODY)[start : start + CHUNK_BYTES]
            spied.upload_part(large.key, upload_id, index + 1, start, body, sha256=sha256)

    for parts in (1, 3, 1):
        begin(parts)
    spied.calls.clear()
    upload(spied, [large])
    assert spied.calls.count("upload_part") == PARTS - 3
    assert spied.get(large.key).body == BODY


def test_the_upload_of_a_key_that_only_begins_alike_is_left_alone(spied: Any, large: LocalFile) -> None:
    other = spied.start_upload(large.key + "-longer")
    spied.upload_part(large.key + "-longer", other, 1, 0, memoryview(BODY)[:CHUNK_BYTES])
    upload(spied, [large])
    assert "list_parts" not in spied.calls
    assert [upload_id for _, upload_id, _ in spied.list_uploads("")] == [other]


@pytest.mark.parametrize("part", [b"-" * CHUNK_BYTES, b"short"])
def test_a_part_that_is_not_our_chunk_is_sent_again(spied: Any, large: LocalFile, part: bytes) -> None:
    earlier = spied.start_upload(large.key)
    spied.upload_part(large.key, earlier, 1, 0, memoryview(part), sha256=hashlib.sha256(part).hexdigest())
    spied.calls.clear()
    upload(spied, [large])
    assert spied.calls.count("upload_part") == PARTS
    assert spied.get(large.key).body == BODY


def test_an_etag_that_is_the_md5_of_our_chunk_says_that_the_part_is_there(large: LocalFile) -> None:
    store = hooked(MemoryStore())
    chunks = [BODY[start : start + CHUNK_BYTES] for start in range(0, len(BODY), CHUNK_BYTES)]
    md5s = [hashlib.md5(chunk, usedforsecurity=False).hexdigest() for chunk in chunks]

    def as_s3_does(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return [Part(part.number, md5s[part.number - 1], part.size_bytes) for part in method(*arguments, **named)]

    def back_again(method: Callable[..., Any], key: str, upload_id: str, parts: list[Part]) -> Any:
        known = dict(zip(md5s, large.digest.chunks.sha256, strict=True))
        method(key, upload_id, [Part(p.number, known.get(p.etag, p.etag), p.size_bytes) for p in parts])

    store.hooks.update(list_parts=as_s3_does, complete_upload=back_again)
    interrupt(store, large, after_parts=3)
    upload(store, [large])
    assert store.calls.count("upload_part") == PARTS - 3
    assert store.get(large.key).body == BODY


@pytest.mark.parametrize("refusal", [DeniedError("may not list"), UnsupportedError("cannot list")])
def test_where_uploads_cannot_be_listed_a_new_one_is_begun(large: LocalFile, refusal: Exception) -> None:
    store = hooked(MemoryStore())

    def refuse(*_: Any, **__: Any) -> None:
        raise refusal

    store.hooks["list_uploads"] = refuse
    upload(store, [large])
    assert store.get(large.key).body == BODY


def test_who_finds_its_upload_completed_by_another_is_done(spied: Any, large: LocalFile) -> None:
    reached, go_on = threading.Event(), threading.Event()
    outcomes: list[Any] = []

    def wait_first(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if threading.current_thread().name.startswith("transfer-") and not reached.is_set():
            reached.set()
            assert go_on.wait(20)
        return method(*arguments, **named)

    spied.hooks["complete_upload"] = wait_first
    first = threading.Thread(target=lambda: outcomes.extend(upload(spied, [large])))
    first.start()
    assert reached.wait(20)
    (second,) = upload(spied, [large])
    go_on.set()
    first.join(20)
    assert (second.already_there, second.uploaded_bytes) == (False, 0)  # it went on with the first one's parts
    assert [one.already_there for one in outcomes] == [True]
    assert spied.get(large.key).body == BODY
    assert list(spied.list_uploads("")) == []


def test_many_publishers_of_the_same_bytes_at_once_all_succeed(spied: Any, large: LocalFile) -> None:
    at_once = threading.Barrier(4)
    outcomes: list[Any] = []

    def publish() -> None:
        at_once.wait()
        outcomes.extend(upload(spied, [large], connections=3))

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(outcomes) == 4
    assert spied.get(large.key).body == BODY


def test_an_upload_that_vanishes_is_begun_anew(spied: Any, large: LocalFile) -> None:
    def abort_once(method: Callable[..., Any], key: str, upload_id: str, *arguments: Any, **named: Any) -> Any:
        if spied.calls.count("upload_part") == 3:
            spied.inner.abort_upload(key, upload_id)
        return method(key, upload_id, *arguments, **named)

    spied.hooks["upload_part"] = abort_once
    reports: list[Progress] = []
    upload(spied, [large], connections=2, on_transfer=reports.append)
    assert spied.get(large.key).body == BODY
    assert spied.calls.count("start_upload") == 2
    assert reports[-1].done_bytes == reports[-1].total_bytes == len(BODY)
    assert reports[-1].done_files == 1


def test_parts_that_another_replaced_are_sent_anew(large: LocalFile) -> None:
    store = hooked(MemoryStore())
    interrupt(store, large, after_parts=3)

    def replace_once(method: Callable[..., Any], key: str, upload_id: str, parts: list[Part]) -> Any:
        if store.calls.count("complete_upload") == 1:
            store.inner.upload_part(key, upload_id, 1, 0, memoryview(BODY)[:CHUNK_BYTES])
        return method(key, upload_id, parts)

    store.hooks["complete_upload"] = replace_once
    upload(store, [large])
    assert store.get(large.key).body == BODY


def test_a_changed_file_gives_up_its_own_parts_and_no_others(spied: Any, tmp_path: Path) -> None:
    kept, changed = local_files(tmp_path / "out", {"kept": BODY, "changed": BODY + b"more"})
    interrupt(spied, kept, after_parts=2)
    changed.path.write_bytes(BODY + b"else")
    with pytest.raises(RejectedError, match="changed changed while it was published"):
        upload(spied, [changed])
    assert [key for key, _, _ in spied.list_uploads("")] == [kept.key]


def copies_of(store: Any, key: str, body: bytes) -> dict[str, ChunkPlace]:
    store.put_blob(key, memoryview(body))
    return {
        hashlib.sha256(body[start : start + CHUNK_BYTES]).hexdigest(): ChunkPlace(
            key, start, min(len(body), start + CHUNK_BYTES)
        )
        for start in range(0, len(body), CHUNK_BYTES)
    }


def test_chunks_that_the_store_has_are_copied_and_others_sent(spied: Any, large: LocalFile) -> None:
    # The second chunk differs, the fourth lies elsewhere.
    older = BODY[3000:4000] + b"?" * CHUNK_BYTES + BODY[2000:3000] + BODY[:1000] + BODY[4000:]
    copies = copies_of(spied, "blobs/older", older)
    reports: list[Progress] = []
    (uploaded,) = upload(spied, [large], copies=copies, on_transfer=reports.append)
    assert spied.calls.count("copy_part") == 4
    assert spied.calls.count("upload_part") == 1
    assert uploaded.uploaded_bytes == CHUNK_BYTES
    assert spied.get(large.key).body == BODY
    assert reports[-1].done_bytes == len(BODY)


def test_a_store_that_cannot_copy_is_sent_everything(large: LocalFile) -> None:
    store = hooked(MemoryStore())
    copies = copies_of(store, "blobs/older", BODY)

    def cannot(*_: Any, **__: Any) -> None:
        raise UnsupportedError("no UploadPartCopy here")

    store.hooks["copy_part"] = cannot
    (uploaded,) = upload(store, [large], connections=1, copies=copies)
    assert store.calls.count("copy_part") == 1
    assert uploaded.uploaded_bytes == len(BODY)
    assert store.get(large.key).body == BODY


def test_a_source_that_was_collected_is_sent(spied: Any, large: LocalFile) -> None:
    copies = copies_of(spied, "blobs/older", BODY)
    spied.delete("blobs/older")
    (uploaded,) = upload(spied, [large], copies=copies)
    assert uploaded.uploaded_bytes == len(BODY)
    assert spied.get(large.key).body == BODY


def test_a_place_of_another_length_is_never_copied(large: LocalFile) -> None:
    store = hooked(MemoryStore())
    store.put("blobs/older", b"?" * 5000, IfAbsent())
    copies = {sha256: ChunkPlace("blobs/older", 0, 999) for sha256 in large.digest.chunks.sha256}
    upload(store, [large], copies=copies)
    assert store.calls.count("copy_part") == 0
    assert store.get(large.key).body == BODY


def test_the_digest_that_is_known_goes_with_the_bytes(tmp_path: Path) -> None:
    store = hooked(MemoryStore())
    given: list[str] = []

    def note(method: Callable[..., Any], *arguments: Any, sha256: str) -> Any:
        given.append(sha256)
        found = hashlib.sha256()
        for part in arguments[-1].slices():  # each is in a buffer that serves for the next one too
            found.update(part)
        assert found.hexdigest() == sha256
        return method(*arguments, sha256=sha256)

    store.hooks.update(put_blob=note, upload_part=note)
    upload(store, local_files(tmp_path / "out", CONTENTS))
    assert len(given) == 4 + 3 + PARTS


def test_a_store_that_asks_for_less_gets_fewer_requests_at_once(tmp_path: Path) -> None:
    store = hooked(MemoryStore())
    levels: list[int] = []

    def ask_for_less(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if store.calls.count("upload_part") == 1:
            raise SlowDownError("too many requests")
        return method(*arguments, **named)

    store.hooks["upload_part"] = ask_for_less
    files = local_files(tmp_path / "out", {LARGE: BODY})
    upload(store, files, **HASTY, on_transfer=lambda state: levels.append(state.connections))
    assert (levels[0], levels[-1]) == (4, 2)


def test_a_refused_creation_of_what_is_not_there_fails_when_patience_ends(large: LocalFile) -> None:
    store = hooked(MemoryStore())

    def refuse(*_: Any, **__: Any) -> None:
        raise PreconditionFailedError("taken")

    store.hooks["complete_upload"] = refuse
    with pytest.raises(UnavailableError, match="neither takes"):
        upload(store, [large], **IMPATIENT)
    with pytest.raises(ObjectNotFoundError):
        store.stat(large.key)
