"""Does an upload end, with the right error or with every object there, wherever something fails on the way?"""

from __future__ import annotations

import faulthandler
import hashlib
import os
import random
import threading
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

from bucketry.errors import BucketryError, CorruptError, RejectedError, UnavailableError
from bucketry.store.contract import ObjectNotFoundError, PreconditionFailedError
from bucketry.store.memory import MemoryStore
from bucketry.transfer.disk import hashing
from bucketry.transfer.disk.hashing import Digester, FileDigest
from bucketry.transfer.disk.local_files import read_full
from bucketry.transfer.pace.workers import Halt, Interrupted
from bucketry.transfer.plan import TransferOptions
from bucketry.transfer.up import outgoing
from bucketry.transfer.up.upload import SourceFile, hash_and_upload
from transfer.helpers import CHUNK_BYTES, CONTENTS, IMPATIENT, hooked, transfer_threads, write_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONGEST_SECONDS = 30.0
CALLS = ("stat", "put_blob", "list_uploads", "start_upload", "upload_part", "complete_upload")
FAILURES: dict[str, Callable[[], BaseException]] = {
    "unavailable": lambda: UnavailableError("down"),
    "refused": lambda: PreconditionFailedError("taken"),
    "not-found": lambda: ObjectNotFoundError("gone"),
    "corrupt": lambda: CorruptError("wrong"),
    "a-bug": lambda: ValueError("unforeseen"),
    "no-memory": MemoryError,
    "interrupted-elsewhere": Interrupted,
    "interrupted": KeyboardInterrupt,
}
SEEDS = 20


@pytest.fixture(autouse=True)
def it_ends(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print every thread and end the run where a test hangs: nothing else could."""
    stderr = request.config.stash[fault_handler_stderr_fd_key]  # pytest has captured the other one
    faulthandler.dump_traceback_later(LONGEST_SECONDS, exit=True, file=stderr)
    yield
    faulthandler.cancel_dump_traceback_later()
    assert transfer_threads() == []


class Failing:
    """Fails the calls of one kind from a given one on, so many times, before or after they did their work."""

    def __init__(self, make: Callable[[], BaseException], *, first: int, times: int, is_done: bool) -> None:
        self._make = make
        self._wanted = range(first, first + times)
        self._is_done = is_done
        self._lock = threading.Lock()
        self._count = 0

    def __call__(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        with self._lock:
            number, self._count = self._count, self._count + 1
        if number not in self._wanted:
            return method(*arguments, **named)
        if self._is_done:
            method(*arguments, **named)
        raise self._make()


def sources(directory: Path) -> list[SourceFile]:
    write_tree(directory, CONTENTS)
    return [SourceFile(directory / path, path, len(body)) for path, body in CONTENTS.items()]


def key_of(digest: FileDigest) -> str:
    return f"blobs/{digest.sha256}"


def publish(store: Any, directory: Path, **options: Any) -> BaseException | None:
    """Upload everything, and return what ended it; None only if every object is there with the right bytes."""
    files = sources(directory)
    try:
        done = hash_and_upload(store, files, CHUNK_BYTES, key_of, TransferOptions(**IMPATIENT, **options))
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    assert len(done) == len(files)
    for file, hashed in zip(files, done, strict=True):
        body = store.inner.get(key_of(hashed.digest)).body
        assert hashlib.sha256(body).hexdigest() == hashed.digest.sha256
        assert body == CONTENTS[file.label]
    return None


@pytest.mark.parametrize("is_done", [False, True], ids=["lost", "only-the-reply-lost"])
@pytest.mark.parametrize("times", [1, 1_000_000], ids=["once", "always"])
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("call", CALLS)
def test_an_upload_ends_whatever_a_call_of_the_store_raises(
    tmp_path: Path, call: str, failure: str, times: int, *, is_done: bool
) -> None:
    store = hooked(MemoryStore())
    for first in (0, 2):
        store.hooks = {call: Failing(FAILURES[failure], first=first, times=times, is_done=is_done)}
        error = publish(store, tmp_path / "out")
        assert not isinstance(error, AssertionError)
        if failure == "unavailable" and times == 1:
            assert error is None
        elif not isinstance(FAILURES[failure](), BucketryError):
            assert error is None or isinstance(error, (type(FAILURES[failure]()), BucketryError))
        assert transfer_threads() == []
    store.hooks = {}
    assert publish(store, tmp_path / "out") is None


def test_an_upload_ends_whatever_fails_by_chance(tmp_path: Path) -> None:
    for seed in range(SEEDS):
        chance = random.Random(seed)
        store = hooked(MemoryStore())
        for call in chance.sample(CALLS, k=3):
            store.hooks[call] = Failing(
                FAILURES[chance.choice([*FAILURES])],
                first=chance.randrange(8),
                times=chance.randrange(1, 4),
                is_done=chance.random() < 0.5,
            )
        error = publish(store, tmp_path / "out", connections=chance.choice([1, 2, 16]))
        assert not isinstance(error, AssertionError), seed
        store.hooks = {}
        assert publish(store, tmp_path / "out") is None, seed


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("where", ["hashing", "place", "a-read", "progress", "the-progress-of-hashing"])
def test_an_upload_ends_whatever_fails_on_this_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, failure: str
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        error = FAILURES[failure]()
        raise error

    store = hooked(MemoryStore())
    place: Any = key_of
    options: dict[str, Any] = {}
    match where:
        case "hashing":
            monkeypatch.setattr(hashing, "read_full", fail)
        case "place":
            place = fail
        case "a-read":
            monkeypatch.setattr(outgoing, "read_full", fail)
        case "progress":
            options["on_transfer"] = fail
        case _:
            options["on_hash"] = fail
    with pytest.raises(type(FAILURES[failure]())):
        hash_and_upload(store, sources(tmp_path / "out"), CHUNK_BYTES, place, TransferOptions(**IMPATIENT, **options))
    assert transfer_threads() == []


@pytest.mark.parametrize("chunks", [2, 20], ids=["at-the-end", "with-buffers-missing"])
def test_a_second_digest_that_fails_is_told_and_never_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    class Broken:
        def update(self, _: object) -> None:
            raise MemoryError

        def hexdigest(self) -> str:
            return "0" * 64

    (tmp_path / "large").write_bytes(bytes(chunks * CHUNK_BYTES))
    monkeypatch.setattr(hashing, "READ_BYTES", CHUNK_BYTES)
    digester = Digester(CHUNK_BYTES, Halt())
    of_the_whole_first: Any = chain([Broken()], iter(hashlib.sha256, None))
    monkeypatch.setattr(hashlib, "sha256", lambda: next(of_the_whole_first))
    with pytest.raises(UnavailableError, match="hashing ended too early"):
        digester.digest(tmp_path / "large", lambda _: None)


@pytest.mark.parametrize("change", ["shorter", "longer", "other"])
@pytest.mark.parametrize("moment", ["hashed", "sent"])
def test_a_file_that_changes_is_refused_and_nothing_of_it_becomes_an_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, moment: str
) -> None:
    file = tmp_path / "out" / "weights/deep/over.bin"
    body = CONTENTS["weights/deep/over.bin"]
    changed = {"shorter": body[:-1], "longer": body + b"!", "other": body[:-2] + b"??"}[change]
    is_changed = threading.Lock()
    store = hooked(MemoryStore())

    def change_now(*_: Any) -> None:
        if is_changed.acquire(blocking=False):
            file.write_bytes(changed)

    def start(method: Callable[..., Any], key: str) -> Any:
        if key.endswith(hashlib.sha256(body).hexdigest()):
            change_now()
        return method(key)

    def read(descriptor: int, buffer: memoryview, offset: int) -> int:
        filled = read_full(descriptor, buffer, offset)
        if os.fstat(descriptor).st_size == len(body):
            change_now()
        return filled

    if moment == "hashed":
        monkeypatch.setattr(hashing, "read_full", read)
    else:
        store.hooks["start_upload"] = start
    error = publish(store, tmp_path / "out")
    assert isinstance(error, RejectedError)
    assert "changed while it was published" in str(error)
    keys = [entry.key for entry in store.inner.list("blobs/")]
    assert f"blobs/{hashlib.sha256(body).hexdigest()}" not in keys
