"""Lets a file appear in a folder whole, once, and for good, or not at all.

The steps on the file system that everything in a folder store is made of. Paths are plain text here, because they
are built for every request.
"""

# Descriptors and flags need `os`, and a Path would cost more than the call that it is made for.
# ruff: noqa: PTH102, PTH106, PTH108, PTH116, PTH120

from __future__ import annotations

import errno
import os
import re
import stat
import time
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bucketry.errors import UnavailableError, UsageError
from bucketry.frozen import frozen
from bucketry.store.contract import ETag, iter_slices
from bucketry.store.folder.errors import after_naming, explain, file_and_folder, foreign
from bucketry.store.folder.sync import sync_folder
from bucketry.store.modes import SHARED_FILE_MODE, SHARED_FOLDER_MODE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.store.contract import Body

STAGING = ".staging"
LARGEST_KEY_BYTES = 1024
# Each repetition means that another process changed the same few directory entries in between.
MOST_TRIES = 100

_OPEN_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_TO_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Across two file systems, or on one that does not know how.
_NO_COPY_IN_KERNEL = frozenset({errno.EXDEV, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL, errno.EPERM, errno.ETXTBSY})
_COPY_BYTES = 1024 * 1024
# What an NFS client makes of a file that is deleted while it is open.
_NFS_LEFTOVER = re.compile(r"\.nfs[0-9a-f]{8,}")


@frozen
class Identity:
    """One inode with one content. The time and the size tell it from a later file with the same number."""

    device: int
    inode: int
    mtime_ns: int
    size_bytes: int

    def etag(self, sequence: int) -> ETag:
        """Return the ETag of this file as the state `sequence` of its key."""
        return ETag(f"{sequence}-{self.inode:x}-{self.mtime_ns:x}-{self.size_bytes:x}")


@frozen
class StagedObject:
    """A file in the staging folder, complete, that only waits for its name."""

    path: str
    identity: Identity


def check_key(key: str) -> None:
    """Refuse what could leave the folder, hide in it, or not be a file name."""
    if not _is_key(key):
        raise UsageError(
            f"{key!r} is not a key of a registry folder",
            advice="a key is a relative path without '.', '..', empty parts, backslashes or a leading dot",
        )


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that no key could have."""
    folder, _, _ = prefix.rpartition("/")
    if folder:
        check_key(folder)
    elif prefix.startswith("/"):
        raise UsageError("a prefix of keys does not begin with '/'")


def is_listed_name(name: str, folder: str) -> bool:
    """Say whether a name found in `folder` (a prefix) can be a part of a key."""
    return _is_key(folder + name) and not _NFS_LEFTOVER.fullmatch(name)


def identify(found: os.stat_result) -> Identity:
    """Return which file this is."""
    return Identity(found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


class Files:
    """The file system below one folder."""

    def __init__(self, root: str, *, durable: bool) -> None:
        self.root = root
        self.durable = durable

    def path(self, key: str) -> str:
        """Return where the file of a key, or of the store's own bookkeeping, lies."""
        return f"{self.root}/{key}"

    @contextmanager
    def translated(self, action: str) -> Iterator[None]:
        """Turn the system's errors into ours. `action` completes "could not"."""
        try:
            yield
        except OSError as error:
            raise explain(error, action, self.root) from error

    def find_identity(self, path: str) -> Identity | None:
        """Return which file is at `path`, without following a link."""
        try:
            return identify(os.stat(path, follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def find_bytes(self, path: str, most_bytes: int) -> bytes | None:
        """Return what a regular file holds, in three calls of the system; None for whatever is not plain about it.

        The caller has checked the folders above it.
        """
        try:
            descriptor = os.open(path, _OPEN_TO_READ)
        except OSError:
            return None  # whoever asks for it by itself is told
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size > most_bytes:
                return None
            body = os.read(descriptor, found.st_size)
            return body if len(body) == found.st_size else None
        finally:
            os.close(descriptor)

    def open_file(self, path: str) -> tuple[int, os.stat_result]:
        """Open a regular file below the root through real folders only.

        Raises `FileNotFoundError`, also for a folder, and `CorruptError` for what does not belong here.
        """
        try:
            self._check_folders(path)
            descriptor = os.open(path, _OPEN_TO_READ)
        except NotADirectoryError as error:
            raise FileNotFoundError(errno.ENOENT, "a part of the path is a file", path) from error
        except OSError as error:
            # O_NOFOLLOW says ELOOP for a symbolic link; opening a socket says ENXIO.
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise foreign(path) from error
            raise
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            return descriptor, found
        os.close(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise FileNotFoundError(errno.ENOENT, "this is a folder", path)
        raise foreign(path)

    def check_folders_of(self, path: str) -> None:
        """Refuse a path that leads through a symbolic link; a missing folder is fine."""
        with suppress(FileNotFoundError, NotADirectoryError):
            self._check_folders(path)

    @contextmanager
    def staged(self, body: bytes | Body) -> Iterator[StagedObject]:
        """Write `body` to a file without a name that a reader knows, and remove that file afterwards.

        The file stays open meanwhile, so that its inode number cannot be given to another.
        """
        path = self.path(f"{STAGING}/{uuid.uuid4().hex}")
        descriptor = self._create(path)
        try:
            write_body(descriptor, body, 0)
            yield StagedObject(path, self.seal(descriptor))
        finally:
            os.close(descriptor)
            with suppress(OSError):
                os.unlink(path)

    def seal(self, descriptor: int) -> Identity:
        """Give the file its time in full resolution and bring it to the disk; it never changes again."""
        now_ns = time.time_ns()
        os.utime(descriptor, ns=(now_ns, now_ns))
        if self.durable:
            os.fsync(descriptor)
        return identify(os.fstat(descriptor))

    def publish(self, written: StagedObject, path: str) -> bool:
        """Give the file its name, with the folders that it needs; return False if the name is taken."""
        for _ in range(MOST_TRIES):
            self.make_folders_of(path)
            try:
                won = self.link(written, path)
            except FileNotFoundError:
                # A deletion took the empty folder away just now; or it is the staged file that is gone.
                self.check_staged(written)
                continue
            if not won and self._is_folder(path):
                self.clear_empty_folder(path)
                continue
            if won:
                with after_naming(path):
                    self.sync_folder_of(path)
            return won
        raise self.restless(path)

    def link(self, written: StagedObject, path: str) -> bool:
        """Give the file a name in a folder that exists; return False if the name is taken.

        Over NFS the reply may be lost and the request repeated, so that our own success looks like a taken
        name or like any other error: which inode is there decides.
        """
        try:
            os.link(written.path, path, follow_symlinks=False)
        except OSError as error:
            if self.find_identity(path) == written.identity:
                return True
            if isinstance(error, FileExistsError):
                return False
            raise
        return True

    def check_staged(self, written: StagedObject) -> None:
        """Say so if a sweep took the staged file, because its writer had stopped for very long."""
        if self.find_identity(written.path) is None:
            raise UnavailableError(
                f"the file staged at {written.path} was removed before it had its name", advice="try again"
            )

    def make_folders_of(self, path: str) -> None:
        """Make the folders above `path` which are missing, below the root alone."""
        for folder in self._folders_of(path):
            try:
                _check_folder(folder)
            except FileNotFoundError:
                with suppress(FileExistsError):
                    os.mkdir(folder, SHARED_FOLDER_MODE)
                self.sync_folder_of(folder)

    def prune_folders_of(self, path: str) -> None:
        """Remove the folders above `path` that are empty; whoever needs one of them makes it again."""
        for folder in reversed(self._folders_of(path)):
            try:
                os.rmdir(folder)
            except OSError:
                return

    def clear_empty_folder(self, path: str) -> None:
        """Remove what a deletion left where a file shall be; refuse if it is not empty."""
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise file_and_folder(path) from error

    def sync_folder_of(self, path: str) -> None:
        """Bring the name itself to the disk."""
        if not self.durable:
            return
        descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_folder(descriptor)
        finally:
            os.close(descriptor)

    def check_root(self) -> None:
        """Raise `FileNotFoundError` if it is the whole folder that is missing."""
        os.stat(self.root)

    def restless(self, path: str) -> UnavailableError:
        """Return the error for a file that others changed in each of many attempts."""
        return UnavailableError(f"{path} kept changing while it was used", advice="try again")

    def _create(self, path: str) -> int:
        for _ in range(MOST_TRIES):
            try:
                self._check_folders(path)
                # The umask decides who else may read it.
                return os.open(path, _OPEN_TO_CREATE, SHARED_FILE_MODE)
            except FileNotFoundError:
                self.make_folders_of(path)
        raise self.restless(path)

    def _folders_of(self, path: str) -> list[str]:
        names = path[len(self.root) + 1 :].split("/")[:-1]
        return [self.path("/".join(names[:depth])) for depth in range(1, len(names) + 1)]

    def _check_folders(self, path: str) -> None:
        for folder in self._folders_of(path):
            _check_folder(folder)

    def _is_folder(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(path, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False


def write_all(descriptor: int, body: bytes | memoryview, offset: int) -> None:
    """Write all of `body` at `offset`."""
    rest = memoryview(body)
    while rest:  # bounded by the length of the body: each round writes at least one byte or raises
        count = os.pwrite(descriptor, rest, offset)
        if count == 0:
            raise OSError(errno.EIO, "the file system took no bytes")
        offset += count
        rest = rest[count:]


def write_body(descriptor: int, body: bytes | Body, offset: int) -> None:
    """Write a body at `offset`, slice by slice; what was written before one that fails stays."""
    for one in iter_slices(body):
        write_all(descriptor, one, offset)
        offset += len(one)


def copy_range(source: tuple[int, int, int], target: int, offset: int) -> None:
    """Copy the bytes start:stop of a descriptor, `source`, to `offset` of another, inside the kernel if it can."""
    descriptor, start, stop = source
    in_kernel = hasattr(os, "copy_file_range")
    buffer = memoryview(b"")
    while start < stop:  # bounded: each round copies at least one byte, or falls back once, or raises
        if in_kernel:
            try:
                count = os.copy_file_range(descriptor, target, stop - start, start, offset)
            except OSError as error:
                if error.errno not in _NO_COPY_IN_KERNEL:
                    raise
                in_kernel = False
                continue
        else:
            buffer = buffer or memoryview(bytearray(min(_COPY_BYTES, stop - start)))
            count = os.preadv(descriptor, [buffer[: stop - start]], start)
            write_all(target, buffer[:count], offset)
        if count == 0:
            raise OSError(errno.EIO, "the file to copy from became shorter")
        start += count
        offset += count


def _is_key(key: str) -> bool:
    try:
        size_bytes = len(key.encode())
    except UnicodeEncodeError:
        return False
    parts = key.split("/")
    return (
        size_bytes <= LARGEST_KEY_BYTES
        and not key.startswith(".")
        and "\0" not in key
        and "\\" not in key
        and not any(part in ("", ".", "..") for part in parts)
    )


def _check_folder(folder: str) -> None:
    if not stat.S_ISDIR(mode := os.stat(folder, follow_symlinks=False).st_mode):
        if stat.S_ISLNK(mode):
            raise foreign(folder)
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
