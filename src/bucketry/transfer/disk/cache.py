"""Keeps bytes on this node for all its processes, so that they are not fetched twice.

    blobs/<2 hex>/<sha256>           read-only files; each appears at once, after it was hashed
    versions/<registry>/<namespace>/<model>/<manifest>/
                                     complete versions, made of hard links to blobs (copies where there are no links)
    tmp/                             what is being put together or taken apart

Nothing in it is believed: whoever takes a blob, or a version, hashes it again, and nothing is handed out or linked that
another user owns (`cache_place.py`). Removing anything at any time is safe. Users share a cache if they may all write
there: folders are made as the umask says (002, in a folder of a common group with its set-group-id bit), though never
so that everybody may write, and blobs are readable to all who may enter.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bucketry.errors import CorruptError, UsageError
from bucketry.frozen import frozen
from bucketry.store.modes import make_folders
from bucketry.transfer.disk.cache_place import is_our_file
from bucketry.transfer.disk.hashing import sha256_of_open_file
from bucketry.transfer.disk.leftovers import find_workplaces, newest_change_seconds
from bucketry.transfer.disk.local_files import (
    copy_range,
    disk_errors,
    link_below,
    open_regular,
    opened_directory,
    remove_below,
    split_relative_path,
)
from bucketry.transfer.disk.receipt import Ours, inspect_target
from bucketry.transfer.pace.turns import after_others
from bucketry.transfer.pace.workers import Halt, run_parallel

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bucketry.transfer.down.remote import RemoteFile

_SHA256 = re.compile("[0-9a-f]{64}")
HASHING_THREADS = 4
_CANNOT_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})


@frozen
class CacheEntry:
    """One blob or version: `used_at` is when it was last taken, in seconds since the epoch.

    A version's size counts its files, although they share their blocks with blobs.
    """

    kind: Literal["blob", "version"]
    path: Path
    size_bytes: int
    used_at: float


class Cache:
    """A content-addressed cache below one folder, safe to share by processes."""

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.root = root
        self._clock = clock

    def find(self, sha256: str) -> Path | None:
        """Return the blob said to have this digest, marked as used, or None; its bytes are unverified."""
        path = self._blob_path(sha256)
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return None
            mark_used(path, self._clock())
        except FileNotFoundError:
            return None
        except OSError as error:
            # A cache that may only be read is of use too.
            if error.errno not in {errno.EPERM, errno.EACCES, errno.EROFS}:
                return None
        return path

    def holds_any(self, digests: Iterable[str]) -> bool:
        """Tell whether a blob of any of these digests seems to be here: of thousands, it is asked once for all."""
        blobs = str(self.root / "blobs")
        # Texts, and not `find`: to make a path object costs more than to look.
        paths = (f"{blobs}/{sha256[:2]}/{sha256}" for sha256 in digests)
        return os.path.isdir(blobs) and any(map(os.path.lexists, paths))  # noqa: PTH112 - see above

    def open_blob(self, sha256: str) -> int | None:
        """Return a descriptor of the blob said to have this digest, or None: a source for `reuse`."""
        path = self.find(sha256)
        try:
            return None if path is None else open_regular(path)
        except OSError:
            return None  # pruned meanwhile, or not ours to read

    def add(self, sha256: str, file: Path, *, stop: threading.Event | None = None) -> Path:
        """Copy a file into the cache; raise `CorruptError` if its SHA-256 is another one."""
        halt = Halt(stop)
        temporary = self._temporary()
        with disk_errors(str(file)):
            source_fd = open_regular(file)
            try:
                with temporary.open("xb") as target:
                    copy_range(source_fd, 0, target.fileno(), 0, os.fstat(source_fd).st_size, halt)
                return self._admit(sha256, temporary, str(file), halt)
            finally:
                os.close(source_fd)
                temporary.unlink(missing_ok=True)

    def adopt(
        self,
        files: Sequence[RemoteFile],
        directory: Path,
        *,
        chunks_are_verified: bool = False,
        stop: threading.Event | None = None,
    ) -> None:
        """Let the cache share the files of a staged version, which become read-only; copies where it must.

        Where the SHA-256 of every chunk was just found right, the manifest that names the chunks speaks for the
        whole, and nothing is hashed twice. Otherwise raises `CorruptError` if a file does not have its SHA-256.
        """
        halt = Halt(stop)
        for file in files:
            path = directory.joinpath(*split_relative_path(file.path))
            with disk_errors(str(path)):
                temporary = self._temporary()
                try:
                    os.link(path, temporary, follow_symlinks=False)
                except OSError as error:
                    if error.errno not in _CANNOT_LINK:
                        raise
                    self.add(file.sha256, path, stop=stop)
                    continue
                try:
                    self._admit(file.sha256, temporary, file.path, halt, is_verified=chunks_are_verified)
                finally:
                    temporary.unlink(missing_ok=True)

    def fill(
        self, files: Sequence[RemoteFile], directory: Path, *, stop: threading.Event | None = None
    ) -> tuple[RemoteFile, ...]:
        """Link the blobs that are here and right into a staged version; return the files that are missing.

        A blob that is wrong is removed. Where links are impossible, or would be to what another user may change, its
        file counts as missing: `reuse` copies it.
        """
        halt = Halt(stop)
        linked: set[str] = set()

        def link(_: None, file: RemoteFile) -> None:
            with disk_errors(file.path):
                if self._link(file, directory_fd, halt):
                    linked.add(file.path)

        with disk_errors(str(directory)), opened_directory(directory) as directory_fd:
            run_parallel(files, link, make_context=lambda: None, connections=HASHING_THREADS, halt=halt)
        return tuple(file for file in files if file.path not in linked)

    def version_path(self, registry: str, model: str, manifest: str) -> Path:
        """Return where a version's folder lies if it is here; `model` is `<namespace>/<name>`."""
        if len(split_relative_path(f"{registry}/{model}")) != 3 or not _SHA256.fullmatch(manifest):
            raise UsageError(f"no version can be cached under {registry}, {model} and {manifest}")
        return self.root / "versions" / registry / model / manifest

    def find_version(self, registry: str, model: str, manifest: str) -> Path | None:
        """Return the folder of an unchanged version, marked as used, or None; its bytes are not hashed."""
        path = self.version_path(registry, model, manifest)
        there = inspect_target(path)
        if not isinstance(there, Ours) or there.changed or there.receipt.manifest != manifest:
            return None
        try:
            # The time of change: reading a folder may set its time of access, and looking is not using.
            now_ns = int(self._clock() * 1e9)
            os.utime(path, ns=(now_ns, now_ns))
        except OSError:
            return path  # pruning may take it early; reading it is what counts
        return path

    def find_versions(self, registry: str, model: str) -> tuple[Path, ...]:
        """Return the folders of a model's versions, the last used first; their bytes are unverified."""
        folder = self.version_path(registry, model, "0" * 64).parent
        found = [(status.st_mtime, path) for path in folder.glob("*") if (status := _find_status(path)) is not None]
        return tuple(path for _, path in sorted(found, reverse=True) if _SHA256.fullmatch(path.name))

    @contextmanager
    def bringing(
        self, version: Path, *, stop: threading.Event | None = None, on_wait: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """Bring a version to its folder after any other process that is bringing it now, so that it is fetched once."""

        def look() -> object:
            with suppress(OSError):
                return [newest_change_seconds(found.path) for found in find_workplaces(version.parent, version.name)]
            return None

        with after_others(self.root / "tmp" / f"{version.name}.lock", Halt(stop), look, on_wait):
            yield

    def entries(self) -> tuple[CacheEntry, ...]:
        """Return everything that is here: blobs, then versions."""
        found: list[CacheEntry] = []
        for path in sorted((self.root / "blobs").glob("??/*")):
            status = _find_status(path) if _SHA256.fullmatch(path.name) else None
            if status is not None:
                found.append(CacheEntry("blob", path, status.st_size, status.st_atime))
        for path in sorted((self.root / "versions").glob("*/*/*/*")):
            status = _find_status(path) if _SHA256.fullmatch(path.name) else None
            # A folder that lost its receipt, or holds more, is listed too: verifying removes it.
            if status is not None and stat.S_ISDIR(status.st_mode):
                size_bytes = sum(inside.st_size for _, inside in files_of(path))
                found.append(CacheEntry("version", path, size_bytes, status.st_mtime))
        return tuple(found)

    def remove(self, entry: CacheEntry) -> None:
        """Remove an entry; a version disappears at once, so that nobody finds half of it."""
        with disk_errors(str(entry.path)):
            if entry.kind == "blob":
                entry.path.unlink(missing_ok=True)
                return
            temporary = self._temporary()
            try:
                entry.path.rename(temporary)
            except FileNotFoundError:
                return
            shutil.rmtree(temporary, ignore_errors=True)

    def _link(self, file: RemoteFile, directory_fd: int, halt: Halt) -> bool:
        path = self.find(file.sha256)
        if path is None:
            return False
        try:
            if not is_our_file(path.lstat()):
                return False
            if not is_right(path, file.sha256, halt):
                path.unlink(missing_ok=True)
                return False
            # Earlier work may have left a file there.
            try:
                link_below(path, directory_fd, file.path)
            except FileExistsError:
                remove_below(directory_fd, file.path)
                link_below(path, directory_fd, file.path)
        except FileNotFoundError:
            return False  # pruned meanwhile
        except OSError as error:
            if error.errno not in _CANNOT_LINK:
                raise
            return False
        return True

    def _admit(self, sha256: str, temporary: Path, label: str, halt: Halt, *, is_verified: bool = False) -> Path:
        """Let a file of ours appear as a blob, once its digest was found right."""
        with suppress(OSError):  # some file systems have one mode for all files: the bytes are hashed each time
            temporary.chmod(0o444)
        if not is_verified and not is_right(temporary, sha256, halt):
            raise CorruptError(f"{label} does not have the digest {sha256}", advice="pull it again")
        path = self._blob_path(sha256)
        make_folders(path.parent)
        # A replacement, not a creation: what lies there may be damaged, and this is known to be right.
        temporary.replace(path)
        return path

    def _blob_path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise UsageError(f"{sha256!r} is not a SHA-256 in lower-case hex")
        return self.root / "blobs" / sha256[:2] / sha256

    def _temporary(self) -> Path:
        directory = self.root / "tmp"
        with disk_errors(str(directory)):
            make_folders(directory)
        return directory / secrets.token_hex(16)


def is_right(path: Path, sha256: str, halt: Halt) -> bool:
    """Tell whether a file has this SHA-256. Raises `OSError`."""
    descriptor = open_regular(path)
    try:
        return sha256_of_open_file(descriptor, halt) == sha256
    finally:
        os.close(descriptor)


def files_of(version: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files of a version's folder, without its receipt, with their status."""
    for folder, folders, names in os.walk(version):
        if Path(folder) == version and ".bucketry" in folders:
            folders.remove(".bucketry")
        for name in names:
            status = _find_status(Path(folder, name))
            if status is not None:
                yield Path(folder, name), status


def mark_used(blob: Path, used_at: float) -> None:
    """Set a blob's time of last use. The time of change stays: versions that share the file show it."""
    status = blob.lstat()
    os.utime(blob, ns=(int(used_at * 1e9), status.st_mtime_ns), follow_symlinks=False)


def _find_status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
