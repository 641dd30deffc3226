from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import NotFoundError, UnavailableError, UsageError
from bucketry.store.memory import MemoryStore
from bucketry.transfer.disk.hashing import Digester, FileDigest
from bucketry.transfer.pace.workers import MAX_CONNECTIONS, Interrupted
from bucketry.transfer.plan import TransferOptions
from bucketry.transfer.up.upload import SourceFile, hash_and_upload
from transfer.helpers import CHUNK_BYTES, CONTENTS, IMPATIENT, digest_file, hooked, transfer_threads, write_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bucketry.store.contract import Store
    from bucketry.transfer.pace.progress import Progress


def sources(directory: Path, contents: Mapping[str, bytes]) -> list[SourceFile]:
    write_tree(directory, contents)
    return [SourceFile(directory / path, path, len(body)) for path, body in contents.items()]


def key_of(digest: FileDigest) -> str | None:
    return f"blobs/{digest.sha256}"


def test_every_file_is_hashed_and_stored(store: Store, tmp_path: Path) -> None:
    files = sources(tmp_path / "out", CONTENTS)
    done = hash_and_upload(store, files, CHUNK_BYTES, key_of)
    for file, hashed in zip(files, done, strict=True):
        assert hashed.digest == digest_file(file.path, CHUNK_BYTES)
        assert hashed.uploaded is not None
        assert hashed.uploaded.uploaded_bytes == file.size_bytes
        assert store.get(hashed.uploaded.key).body == CONTENTS[file.label]


def test_that_all_is_hashed_is_told_before_the_last_file_is_sent(tmp_path: Path) -> None:
    store = hooked(MemoryStore())
    reports: list[Progress] = []
    told: list[int] = []

    def note(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        told.append(reports[-1].done_bytes)
        return method(*arguments, **named)

    store.hooks["put_blob"] = note
    options = TransferOptions(on_hash=reports.append)
    hash_and_upload(store, sources(tmp_path, {"model": b"m" * 100}), CHUNK_BYTES, key_of, options)
    assert told == [100]


def test_a_file_is_sent_while_others_are_still_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = hooked(MemoryStore())
    is_sent = threading.Event()
    waited: list[bool] = []
    digest = Digester.digest

    def wait_for_the_first_file(digester: Digester, path: Path, advance: Callable[[int], None]) -> FileDigest:
        if path.name == "later":
            waited.append(is_sent.wait(20))
        return digest(digester, path, advance)

    def note(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        entry = method(*arguments, **named)
        is_sent.set()
        return entry

    monkeypatch.setattr(Digester, "digest", wait_for_the_first_file)
    store.hooks["put_blob"] = note
    hash_and_upload(store, sources(tmp_path, {"later": b"l" * 100, "first": b"f"}), CHUNK_BYTES, key_of)
    assert waited == [True]


def test_what_is_stored_elsewhere_is_not_sent_and_equal_files_once(store: Store, tmp_path: Path) -> None:
    files = sources(tmp_path / "out", {"a": b"known", "b": b"twice" * 500, "c": b"twice" * 500})
    known = digest_file(files[0].path, CHUNK_BYTES).sha256
    reports: list[Progress] = []
    done = hash_and_upload(
        store,
        files,
        CHUNK_BYTES,
        lambda digest: None if digest.sha256 == known else f"blobs/{digest.sha256}",
        TransferOptions(on_transfer=reports.append),
    )
    uploaded = [one.uploaded for one in done]
    assert uploaded[0] is None
    assert sorted(one.uploaded_bytes for one in uploaded if one is not None) == [0, 2500]
    assert len(list(store.list(""))) == 1
    assert reports[-1].done_bytes == reports[-1].total_bytes == 5005
    assert reports[-1].done_files == 3


def test_progress_of_hashing_ends_with_every_byte(store: Store, tmp_path: Path) -> None:
    reports: list[Progress] = []
    hash_and_upload(store, sources(tmp_path, CONTENTS), CHUNK_BYTES, key_of, TransferOptions(on_hash=reports.append))
    assert reports[-1].done_bytes == sum(map(len, CONTENTS.values()))
    assert reports[-1].done_files == len(CONTENTS)


def test_a_file_that_cannot_be_hashed_ends_all(tmp_path: Path) -> None:
    files = [*sources(tmp_path, {"a": b"a"}), SourceFile(tmp_path / "gone", "gone", 9)]
    with pytest.raises(NotFoundError):
        hash_and_upload(MemoryStore(), files, CHUNK_BYTES, key_of)
    assert transfer_threads() == []


def test_a_store_that_fails_ends_hashing_too(tmp_path: Path) -> None:
    store = hooked(MemoryStore())

    def fail(*_: Any, **__: Any) -> None:
        raise UnavailableError("the store is down", advice="wait")

    store.hooks["put_blob"] = fail
    with pytest.raises(UnavailableError, match="the store is down") as caught:
        hash_and_upload(store, sources(tmp_path, CONTENTS), CHUNK_BYTES, key_of, TransferOptions(**IMPATIENT))
    assert caught.value.advice == "wait; what was sent is kept"
    assert transfer_threads() == []


def test_it_stops_when_it_is_told_to(tmp_path: Path) -> None:
    stop = threading.Event()
    store = hooked(MemoryStore())

    def stop_now(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        stop.set()
        return method(*arguments, **named)

    store.hooks["upload_part"] = stop_now
    with pytest.raises(Interrupted):
        hash_and_upload(store, sources(tmp_path, CONTENTS), CHUNK_BYTES, key_of, TransferOptions(stop=stop))
    assert transfer_threads() == []


def test_the_most_connections_are_possible_and_not_one_more(tmp_path: Path) -> None:
    files = sources(tmp_path, {"a": b"a"})
    hash_and_upload(MemoryStore(), files, CHUNK_BYTES, key_of, TransferOptions(connections=MAX_CONNECTIONS))
    with pytest.raises(UsageError):
        hash_and_upload(MemoryStore(), files, CHUNK_BYTES, key_of, TransferOptions(connections=MAX_CONNECTIONS + 1))
