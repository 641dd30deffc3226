from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import CorruptError, RejectedError, UnavailableError
from bucketry.store.contract import IfAbsent, ObjectNotFoundError, PreconditionFailedError, Store
from bucketry.store.memory import MemoryStore
from bucketry.transfer.pace.workers import Interrupted
from transfer.helpers import CONTENTS, HASTY, IMPATIENT, hooked, local_files, outcomes, transfer_threads, upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bucketry.transfer.pace.progress import Progress

LARGE = "weights/deep/over.bin"


def test_every_file_becomes_an_object_with_its_bytes(store: Store, tmp_path: Path) -> None:
    files = local_files(tmp_path / "out", CONTENTS)
    uploaded = upload(store, files, connections=4)
    assert {file.label: store.get(file.key).body for file in files} == CONTENTS
    assert [one.uploaded_bytes for one in uploaded] == [len(body) for body in CONTENTS.values()]
    assert not any(one.already_there for one in uploaded)
    assert list(store.list_uploads("")) == []


def test_uploading_again_finds_everything_there(store: Store, tmp_path: Path) -> None:
    files = local_files(tmp_path / "out", CONTENTS)
    upload(store, files)
    again = upload(store, files)
    assert all(one.already_there and one.uploaded_bytes == 0 for one in again)


def test_equal_files_become_one_object(store: Store, tmp_path: Path) -> None:
    uploaded = upload(store, local_files(tmp_path / "out", {"a": b"same", "b": b"same"}))
    assert outcomes(uploaded) == {"a": False, "b": True}
    assert [one.uploaded_bytes for one in uploaded] == [4, 0]


def test_another_object_at_the_key_is_corrupt(store: Store, tmp_path: Path) -> None:
    files = local_files(tmp_path / "out", {"a": b"right"})
    store.put(files[0].key, b"wrong size", IfAbsent())
    with pytest.raises(CorruptError, match="where a has 5"):
        upload(store, files)
    assert store.get(files[0].key).body == b"wrong size"


@pytest.mark.parametrize("label", ["one.bin", LARGE])
def test_a_file_that_changed_after_hashing_is_never_stored(store: Store, tmp_path: Path, label: str) -> None:
    files = local_files(tmp_path / "out", {label: CONTENTS[label]})
    changed = bytearray(CONTENTS[label])
    changed[-1] ^= 1
    files[0].path.write_bytes(changed)
    with pytest.raises(RejectedError, match="changed while it was published"):
        upload(store, files)
    with pytest.raises(ObjectNotFoundError):
        store.stat(files[0].key)
    assert list(store.list_uploads("")) == []


def test_an_empty_file_that_grew_is_refused(store: Store, tmp_path: Path) -> None:
    files = local_files(tmp_path / "out", {"empty.bin": b""})
    files[0].path.write_bytes(b"no longer")
    with pytest.raises(RejectedError, match="changed while it was published"):
        upload(store, files)


@pytest.mark.parametrize(("label", "call"), [("one.bin", "put_blob"), (LARGE, "complete_upload")])
def test_a_lost_reply_of_the_last_request_is_success(tmp_path: Path, label: str, call: str) -> None:
    store = hooked(MemoryStore())

    def lose_the_reply(method: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        method(*arguments, **named)
        raise UnavailableError("the connection was reset")

    store.hooks[call] = lose_the_reply
    files = local_files(tmp_path / "out", {label: CONTENTS[label]})
    uploaded = upload(store, files, **HASTY)
    assert store.get(files[0].key).body == CONTENTS[label]
    assert uploaded[0].uploaded_bytes == len(CONTENTS[label])
    assert store.calls.count(call) == 1


@pytest.mark.parametrize("label", ["one.bin", LARGE])
def test_passing_failures_are_retried(tmp_path: Path, label: str) -> None:
    store = hooked(MemoryStore())
    failures = dict.fromkeys(("put_blob", "start_upload", "upload_part", "complete_upload", "stat"), 2)

    def failing(name: str) -> Callable[..., Any]:
        def call(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
            failures[name] -= 1
            if failures[name] >= 0:
                raise UnavailableError(f"{name} failed")
            return method(*arguments, **named)

        return call

    store.hooks.update({name: failing(name) for name in failures})
    reports: list[Progress] = []
    files = local_files(tmp_path / "out", {label: CONTENTS[label]})
    upload(store, files, connections=1, **HASTY, on_transfer=reports.append)
    assert store.inner.get(files[0].key).body == CONTENTS[label]
    assert reports[-1].retries >= 2


def test_patience_ends_and_the_upload_stays_for_the_next_attempt(tmp_path: Path) -> None:
    store = hooked(MemoryStore())

    def fail(*_: Any, **__: Any) -> None:
        raise UnavailableError("the store is down")

    store.hooks["upload_part"] = fail
    files = local_files(tmp_path / "out", {LARGE: CONTENTS[LARGE]})
    with pytest.raises(UnavailableError, match="the store is down") as caught:
        upload(store, files, **IMPATIENT)
    assert "what was sent is kept" in caught.value.advice
    assert len(list(store.list_uploads(""))) == 1


def test_who_loses_the_race_for_a_large_object_frees_its_parts(tmp_path: Path) -> None:
    store = hooked(MemoryStore())
    files = local_files(tmp_path / "out", {LARGE: CONTENTS[LARGE]})

    def be_second(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        store.inner.put(files[0].key, CONTENTS[LARGE], IfAbsent())
        return method(*arguments, **named)

    store.hooks["complete_upload"] = be_second
    assert upload(store, files)[0].already_there
    assert list(store.list_uploads("")) == []


def test_a_refusal_with_nothing_there_is_tried_again(tmp_path: Path) -> None:
    store = hooked(MemoryStore())
    refusals = [1, 1]

    def refuse_at_first(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if refusals:
            refusals.pop()
            raise PreconditionFailedError("a racing upload, not visible yet")
        return method(*arguments, **named)

    store.hooks["put_blob"] = refuse_at_first
    files = local_files(tmp_path / "out", {"a": b"body"})
    upload(store, files, **HASTY)
    assert store.get(files[0].key).body == b"body"


def test_an_upload_that_the_store_forgot_fails_plainly(tmp_path: Path) -> None:
    store = hooked(MemoryStore())

    def forget(*_: Any, **__: Any) -> None:
        raise ObjectNotFoundError("no such upload")

    store.hooks["complete_upload"] = forget
    with pytest.raises(UnavailableError, match="gave up the upload"):
        upload(store, local_files(tmp_path / "out", {LARGE: CONTENTS[LARGE]}), **HASTY)


def test_stopping_ends_all_threads_and_keeps_the_parts(tmp_path: Path) -> None:
    store = hooked(MemoryStore())
    stop = threading.Event()

    def stop_after_the_first_part(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        stop.set()
        return method(*arguments, **named)

    store.hooks["upload_part"] = stop_after_the_first_part
    files = local_files(tmp_path / "out", CONTENTS)
    with pytest.raises(Interrupted):
        upload(store, files, connections=2, stop=stop)
    assert transfer_threads() == []
    assert 1 <= len(list(store.list_uploads(""))) <= 2


def test_progress_ends_with_everything_done(store: Store, tmp_path: Path) -> None:
    reports: list[Progress] = []
    upload(store, local_files(tmp_path / "out", CONTENTS), on_transfer=reports.append)
    last = reports[-1]
    assert last.done_bytes == last.total_bytes == sum(map(len, CONTENTS.values()))
    assert last.done_files == last.total_files == len(CONTENTS)
    assert last.active == ()
