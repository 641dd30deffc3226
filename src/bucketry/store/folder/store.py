"""Makes a plain folder a bucket, for any number of processes, over NFS, without a lock.

An object is the file with its key's name, so people can read a registry with `ls` and `jq`. Files never
change: each is written aside in `.staging/`, brought to the disk, and then given its name by `link`, which
fails if the name is taken and cannot be seen half done. A register's states are numbered links under `.cas/`,
see `folder_registers`; large objects in parts grow under `.staging/uploads/`, see `folder_uploads`. A process
that is killed anywhere leaves at most staged files; whoever writes large objects sweeps those of a week ago.

What a folder cannot hold, unlike a bucket: an object `a` together with an object `a/b`, and keys with a
leading dot.
"""

# Descriptors and flags need `os`, and a Path would cost more than the call that it is made for.
# ruff: noqa: PTH100, PTH108, PTH112, PTH116, PTH120

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, CorruptError, UnavailableError, UnsupportedError, UsageError
from bucketry.store.contract import (
    SMALL_OBJECT_BYTES,
    Entry,
    ETag,
    Folder,
    IfAbsent,
    IfMatch,
    Leftover,
    NotModifiedError,
    Object,
    ObjectNotFoundError,
    Part,
    PreconditionFailedError,
)
from bucketry.store.folder.files import STAGING, Files, check_key, check_prefix, identify, is_listed_name
from bucketry.store.folder.registers import FolderRegisters, RegisterState
from bucketry.store.folder.uploads import Uploads
from bucketry.store.modes import make_folders

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bucketry.store.contract import Body, Condition, Store
    from bucketry.store.description import Right

ABANDONED_AFTER_SECONDS = 7 * 24 * 3600.0
MOST_STAGED_LOOKED_AT = 10_000


class FolderStore:
    """A bucket in a folder. `durable=False` leaves it to the system when bytes reach the disk."""

    def __init__(self, root: Path | str, *, durable: bool = True) -> None:
        # A trailing slash would be part of every path below.
        self._root = os.path.abspath(root)
        self._files = Files(self._root, durable=durable)
        self._registers = FolderRegisters(self._files)
        self._uploads = Uploads(self._files, self._registers)
        self._swept = threading.Lock()

    @property
    def name(self) -> str:
        """Return the folder as a URL."""
        return f"file://{self._root}"

    @property
    def endpoint(self) -> str:
        """Return what a conformance result is recorded for."""
        return "file"

    def create_root(self) -> None:
        """Make the folder itself, with those above it, if it is missing."""
        with self._files.translated("create the folder"):
            make_folders(self._root)

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        """Return the object."""
        check_key(key)
        with self._files.translated(f"read {key}"), self._registers.opened(key) as (descriptor, state):
            if state.etag == unless:
                raise NotModifiedError
            if state.identity.size_bytes > SMALL_OBJECT_BYTES:
                raise CorruptError(
                    f"{key} in {self._root} is larger than {SMALL_OBJECT_BYTES} bytes, so it is no document",
                    advice="run `bucketry fsck`, and find out who wrote it",
                )
            # What the file had when it was opened: whoever writes into it afterwards cannot make us read on.
            with open(descriptor, "rb", closefd=False) as file:
                body = file.read(state.identity.size_bytes)
        return Object(body, state.etag, _modified_at(state), served_at=datetime.now(UTC))

    def stat(self, key: str) -> Entry:
        """Return size, ETag and time."""
        check_key(key)
        with self._files.translated(f"look at {key}"):
            return _entry(key, self._registers.current(key))

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        """Write the object if the condition holds."""
        check_key(key)
        with self._files.translated(f"write {key}"):
            if isinstance(condition, IfAbsent):
                with self._files.staged(body) as written:
                    return self._registers.create(key, written).etag
            if isinstance(condition, IfMatch):
                # Looking first saves the loser of a race the write.
                base = self._registers.check(key, condition.etag)
                with self._files.staged(body) as written:
                    return self._registers.replace(key, base, written).etag
            with self._files.staged(body) as written:
                return self._registers.overwrite(key, written).etag

    def renew_readable_copy(self, key: str) -> None:
        """Make the readable copy of a register its state as it is now."""
        body = self.get(key).body
        with self._files.translated(f"write the readable copy of {key}"), self._files.staged(body) as written:
            self._registers.renew_plain_file(key, written)

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        """Yield what lies below `prefix` in key order, one folder at a time."""
        check_prefix(prefix)
        if delimiter not in (None, "/"):
            raise UsageError(f"a registry folder is listed with the delimiter '/', not {delimiter!r}")
        return self._list(prefix, fold=delimiter is not None)

    def delete(self, key: str) -> None:
        """Delete the object, if there is one, and the folders that it leaves empty."""
        check_key(key)
        with self._files.translated(f"delete {key}"):
            self._registers.delete(key)

    @contextmanager
    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> Iterator[_RangeStream]:
        """Open the bytes `start:stop` of the object that has this ETag."""
        check_key(key)
        with self._files.translated(f"read {key}"):
            descriptor, state = self._registers.open(key)
        # From here on an error of the system may be the caller's own, and is not for us to explain.
        try:
            if etag is not None and state.etag != etag:
                raise PreconditionFailedError(f"{key} is another object now in {self._root}", advice="look it up again")
            if not 0 <= start <= stop <= state.identity.size_bytes:
                raise UsageError(f"{key} has {state.identity.size_bytes} bytes, so not the range {start}:{stop}")
            yield _RangeStream(descriptor, start, stop, self._files, key)
        finally:
            os.close(descriptor)

    @property
    def unretried(self) -> FolderStore:
        """This store, which does everything once."""
        return self

    def local_path(self, key: str) -> Path:
        """Return the file of a create-only object, for copies inside the file system.

        Of a register this is the readable copy, which may be older than its state.
        """
        check_key(key)
        path = self._files.path(key)
        self._files.check_folders_of(path)
        return Path(path)

    def put_blob(self, key: str, body: Body, *, sha256: str | None = None) -> Entry:
        """Create a large object in one request. There is no way on which a digest would find damage."""
        del sha256
        check_key(key)
        self._sweep_once()
        with self._files.translated(f"write {key}"), self._files.staged(body) as written:
            return _entry(key, self._registers.create(key, written))

    def start_upload(self, key: str) -> str:
        """Begin a large object in parts."""
        check_key(key)
        self._sweep_once()
        with self._files.translated(f"start an upload of {key}"):
            return self._uploads.start(key)

    def upload_part(
        self, key: str, upload: str, number: int, offset: int, body: Body, *, sha256: str | None = None
    ) -> Part:
        """Write one part where it belongs."""
        with self._files.translated(f"write part {number} of {key}"):
            return self._uploads.write_part(key, upload, number, offset, body, sha256)

    def copy_part(  # noqa: PLR0917 - a range of one object and its place in another
        self,
        key: str,
        upload: str,
        number: int,
        offset: int,
        source_key: str,
        start: int,
        stop: int,
        *,
        source: Store | None = None,
    ) -> Part:
        """Copy one part from another object, inside the file system if it can."""
        check_key(source_key)
        held = self if source is None else source
        if not isinstance(held, FolderStore):
            raise UnsupportedError(f"{source_key} does not lie in a folder of this machine", advice="send its bytes")
        with (
            self._files.translated(f"copy part {number} of {key} from {source_key}"),
            held._registers.opened(source_key) as (descriptor, state),  # noqa: SLF001 - one of us
        ):
            if not 0 <= start < stop <= state.identity.size_bytes:
                raise UsageError(f"{source_key} has {state.identity.size_bytes} bytes, so not the range {start}:{stop}")
            return self._uploads.copy_part(key, upload, number, offset, (descriptor, start, stop))

    def list_parts(self, key: str, upload: str) -> Sequence[Part]:
        """Return the parts that are whole, by number."""
        with self._files.translated(f"list the parts of {key}"):
            return self._uploads.parts(key, upload)

    def complete_upload(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Give the parts together the name of the object."""
        with self._files.translated(f"complete {key}"):
            self._uploads.complete(key, upload, parts)

    def abort_upload(self, key: str, upload: str) -> None:
        """Give up an upload, if it is known."""
        with self._files.translated(f"abort the upload of {key}"):
            self._uploads.abort(key, upload)

    def list_uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """Yield every unfinished upload below the prefix."""
        with self._files.translated("list the uploads"):
            return iter(self._uploads.unfinished(prefix))

    def sweep_staging(self, older_than_seconds: float) -> int:
        """Remove what killed processes left half written, and uploads untouched for so long; return how many.

        Choose a time longer than any write can stall: a writer whose staged file is gone fails and repeats.
        """
        before_seconds = time.time() - older_than_seconds
        with self._files.translated("sweep the staging folder"):
            # This looks at the way to the uploads first, so at the staging folder as well.
            count = self._uploads.sweep(before_seconds)
            with suppress(FileNotFoundError), os.scandir(self._files.path(STAGING)) as found:
                for entry in islice(found, MOST_STAGED_LOOKED_AT):
                    with suppress(FileNotFoundError):
                        if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < before_seconds:
                            os.unlink(entry.path)
                            count += 1
            return count

    def list_leftovers(self) -> Iterator[Leftover]:
        """Yield the staged files, whose writers were killed or are at work."""
        with self._files.translated("list the staging folder"):
            self._files.check_folders_of(self._files.path(f"{STAGING}/any"))
            with suppress(FileNotFoundError), os.scandir(self._files.path(STAGING)) as found:
                for entry in found:
                    with suppress(FileNotFoundError):
                        if entry.is_file(follow_symlinks=False):
                            there = entry.stat(follow_symlinks=False)
                            modified_at = datetime.fromtimestamp(there.st_mtime, UTC)
                            yield Leftover(f"{STAGING}/{entry.name}", there.st_size, modified_at)

    def remove_leftover(self, leftover: Leftover) -> bool:
        """Remove a staged file, unless it was written to since it was listed."""
        path = self._files.path(leftover.name)
        with self._files.translated(f"remove {leftover.name}"), suppress(FileNotFoundError):
            there = os.stat(path, follow_symlinks=False)
            if datetime.fromtimestamp(there.st_mtime, UTC) == leftover.modified_at:
                os.unlink(path)
                return True
        return False

    def read_many(self, prefix: str, names: Iterable[str]) -> Iterator[bytes | None]:
        """Yield the bytes of plain files of one folder, without the look at a register's states that `get` takes."""
        check_key(f"{prefix}any")
        folder = self._files.path(prefix)
        self._files.check_folders_of(f"{folder}any")
        with self._files.translated(f"read what is below {prefix}"):
            for name in names:
                yield None if "/" in name else self._files.find_bytes(folder + name, SMALL_OBJECT_BYTES)

    def may(self, right: Right, prefix: str) -> bool:
        """Return what the modes of the folder say, or of the one above it that it would be made in."""
        folder = self._files.path(prefix.rpartition("/")[0]).rstrip("/")
        while not os.path.isdir(folder) and len(folder) > len(self._root):
            folder = os.path.dirname(folder)
        return os.access(folder, os.X_OK | (os.R_OK if right in {"list", "read"} else os.W_OK))

    def close(self) -> None:
        """Release nothing: no file stays open between two requests."""

    def _sweep_once(self) -> None:
        """Sweep what nobody has touched for a week, before the first large object: it costs a look at one folder.

        The lock is never given back. No failure of this may be one of the write that comes after it.
        """
        if self._swept.acquire(blocking=False):
            with suppress(BucketryError):
                self.sweep_staging(ABANDONED_AFTER_SECONDS)

    def _list(self, prefix: str, *, fold: bool) -> Iterator[Entry | Folder]:
        folder = prefix[: prefix.rfind("/") + 1]
        with self._files.translated(f"list {prefix or 'everything'}"):
            self._files.check_folders_of(self._files.path(f"{folder}any"))
            # First the names: a key that gets its first number in between has its file among them.
            names = self._names(folder)
            numbered = self._registers.names_in(folder)
            for name in sorted(names | self._registers.hidden_names(folder, numbered - names)):
                key = folder + name
                if not key.startswith(prefix):
                    continue
                if not name.endswith("/"):
                    yield from self._listed(key, numbered=name in numbered)
                elif not fold:
                    yield from self._list(key, fold=False)
                elif self._has_keys(key):
                    yield Folder(key)

    def _names(self, folder: str) -> set[str]:
        """Return the names in a folder; a slash ends those of folders and makes their order that of keys.

        A symbolic link is a name as well, and so is a special file: nobody follows or opens it, but whoever reads its
        key is told what is there.
        """
        try:
            with os.scandir(self._files.path(folder)) as found:
                entries = [entry for entry in found if is_listed_name(entry.name, folder)]
        except (FileNotFoundError, NotADirectoryError):
            self._files.check_root()
            return set()
        folders = {f"{entry.name}/" for entry in entries if entry.is_dir()}
        return folders | {entry.name for entry in entries if f"{entry.name}/" not in folders}

    def _has_keys(self, folder: str) -> bool:
        """Say whether a key begins with this; a folder that a deletion has just emptied is none."""
        try:
            return next(self._list(folder, fold=False), None) is not None
        except CorruptError:
            return True  # nobody looks behind a link, but whoever lists this folder is told

    def _listed(self, key: str, *, numbered: bool) -> Iterator[Entry]:
        """Yield the entry of a key that was there when its folder was read, unless it is gone."""
        with suppress(FileNotFoundError, ObjectNotFoundError):
            if not numbered:
                found = os.stat(self._files.path(key), follow_symlinks=False)
                # A second link may be a number that was made since; it costs little to look.
                if found.st_nlink == 1:
                    yield _entry(key, RegisterState(0, identify(found)))
                    return
            yield _entry(key, self._registers.current(key))


class _RangeStream:
    def __init__(self, descriptor: int, start: int, stop: int, files: Files, key: str) -> None:
        self._descriptor = descriptor
        self._position = start
        self._stop = stop
        self._files = files
        self._key = key

    def readinto(self, buffer: memoryview) -> int:
        size_bytes = min(len(buffer), self._stop - self._position)
        if size_bytes == 0:
            return 0
        with self._files.translated(f"read {self._key}"):
            count = os.preadv(self._descriptor, [buffer[:size_bytes]], self._position)
        if count == 0:
            raise UnavailableError(
                f"{self._key} became shorter while it was read",
                advice="find out who writes into the folder",
            )
        self._position += count
        return count


def _entry(key: str, state: RegisterState) -> Entry:
    return Entry(key, state.identity.size_bytes, state.etag, _modified_at(state))


def _modified_at(state: RegisterState) -> datetime:
    return datetime.fromtimestamp(state.identity.mtime_ns / 1e9, UTC)
