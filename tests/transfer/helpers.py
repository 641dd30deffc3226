"""What do the tests of transfer share?"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bucketry.clock import Clock
from bucketry.store.contract import IfAbsent, PreconditionFailedError
from bucketry.transfer.disk.hashing import Digester
from bucketry.transfer.down import download
from bucketry.transfer.down.remote import RemoteFile
from bucketry.transfer.pace.workers import Halt
from bucketry.transfer.plan import TransferOptions
from bucketry.transfer.up import upload as uploading
from bucketry.transfer.up.upload import LocalFile, UploadOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bucketry.store.contract import Store
    from bucketry.transfer.disk.hashing import FileDigest

CHUNK_BYTES = 1000
HASTY: dict[str, Any] = {"clock": Clock(chance=lambda: 0.0)}
IMPATIENT: dict[str, Any] = {**HASTY, "deadline_seconds": 0.2}

# One of each kind: empty, one byte, just under, exactly and just over a chunk and several chunks, in folders.
CONTENTS: dict[str, bytes] = {
    "empty.bin": b"",
    "one.bin": b"x",
    "under.bin": bytes(range(250)) * 3,
    "exact.bin": b"e" * CHUNK_BYTES,
    "weights/three.bin": b"".join(bytes([n]) * CHUNK_BYTES for n in range(3)),
    "weights/deep/over.bin": b"".join(bytes([n]) * CHUNK_BYTES for n in range(4)) + b"!",
}


class VirtualTime:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    @property
    def clock(self) -> Clock:
        return Clock(monotonic_seconds=lambda: self.now, sleep=self.sleep, chance=lambda: 1.0)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def fetch(
    store: Store,
    files: Sequence[RemoteFile],
    directory: Path,
    *,
    nearby: download.LocalSources | None = None,
    open_store: Any = None,
    **options: Any,
) -> download.FetchOutcome:
    how = TransferOptions(**options)
    return download.fetch(store, files, directory, how, nearby=nearby, open_store=open_store)


def upload(
    store: Store, files: Sequence[LocalFile], *, copies: Any = None, **options: Any
) -> tuple[UploadOutcome, ...]:
    return uploading.upload(store, files, TransferOptions(**options), copies=copies)


class HookedStore:
    """A store whose calls can be watched and disturbed: `hooks[name]` wraps the method of that name."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.hooks: dict[str, Callable[..., Any]] = {}
        self.calls: list[str] = []

    @property
    def unretried(self) -> Any:
        return self

    def local_path(self, key: str) -> None:
        """Every byte goes through the calls that can be disturbed."""

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if not callable(method):
            return method

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            hook = self.hooks.get(name)
            return hook(method, *arguments, **named) if hook else method(*arguments, **named)

        return call


def hooked(inner: Store) -> Any:
    """Return a hooked store, typed loosely, as it stands in for any store."""
    return HookedStore(inner)


def write_tree(directory: Path, contents: Mapping[str, bytes]) -> Path:
    for path, body in contents.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    return directory


def read_tree(directory: Path) -> dict[str, bytes]:
    return {
        file.relative_to(directory).as_posix(): file.read_bytes()
        for file in directory.rglob("*")
        if file.is_file() and ".bucketry" not in file.parts
    }


def digest_file(path: Path, chunk_size_bytes: int, stop: threading.Event | None = None) -> FileDigest:
    return Digester(chunk_size_bytes, Halt(stop)).digest(path, lambda _: None)


def local_files(directory: Path, contents: Mapping[str, bytes], chunk_size_bytes: int = CHUNK_BYTES) -> list[LocalFile]:
    write_tree(directory, contents)
    paths = [directory / path for path in contents]
    digests = [digest_file(path, chunk_size_bytes) for path in paths]
    return [
        LocalFile(path=file, key=f"blobs/{digest.sha256}", digest=digest, label=label)
        for file, digest, label in zip(paths, digests, contents, strict=True)
    ]


def remote_files(files: list[LocalFile]) -> list[RemoteFile]:
    return [
        RemoteFile(
            path=file.label,
            key=file.key,
            size_bytes=file.digest.size_bytes,
            sha256=file.digest.sha256,
            chunk_size_bytes=file.digest.chunks.size_bytes,
            chunk_sha256=file.digest.chunks.sha256,
            chunk_xxh3_128=file.digest.chunks.xxh3_128,
        )
        for file in files
    ]


def stock(store: Store, directory: Path, contents: Mapping[str, bytes]) -> list[RemoteFile]:
    """Put contents into a store and return them as files to fetch."""
    files = local_files(directory, contents)
    for file in files:
        with suppress(PreconditionFailedError):
            store.put(file.key, contents[file.label], IfAbsent())
    return remote_files(files)


def outcomes(uploaded: tuple[UploadOutcome, ...]) -> dict[str, bool]:
    return {one.label: one.already_there for one in uploaded}


def transfer_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("transfer-")]
