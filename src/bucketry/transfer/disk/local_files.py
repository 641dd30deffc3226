"""Opens, makes and copies local files, so that no link leads elsewhere and failures have plain names.

Every path below a directory is walked one segment at a time from an open descriptor and never through a
symbolic link, so that whoever can write next to us cannot send our bytes to another place.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import struct
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, DeniedError, NotFoundError, RejectedError, UnavailableError, UsageError
from bucketry.store.modes import FILE_MODE, PRIVATE_FOLDER_MODE, folder_mode_below
from bucketry.store.no_room import explain_no_room

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType

    from bucketry.transfer.pace.workers import Halt

MAX_PATH_SEGMENTS = 64
MAX_OPEN_FOLDERS = 64
COPY_STEP_BYTES = 64 * 1024 * 1024

# O_NONBLOCK: opening a FIFO must not wait for its writer before fstat can refuse it.
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CANNOT_FALLOCATE = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
_CANNOT_COPY_IN_KERNEL = frozenset(
    {errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.EBADF}
)
_FICLONERANGE = 0x4020940D  # of linux/fs.h; no module of the standard library names it
_NO_NAMES = frozenset({"", ".", ".."})


class NoRoomError(UnavailableError):
    """The local disk, or what this user or process may have of it, is full. Waiting frees no space."""

    may_pass = False


def disk_errors(what: str) -> AbstractContextManager[None]:
    """Raise every `OSError` inside as the `BucketryError` that says what to do about `what`."""
    return _DiskErrors(what)


def translate_os_error(error: OSError, what: str) -> BucketryError:  # noqa: PLR0911 - one for each kind
    """Return the `BucketryError` for a failure of the local file system."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    room = explain_no_room(error, str(error.filename or what))
    if room is not None:
        return NoRoomError(f"{room.what}, at {what}", advice=f"{room.advice}, then run it again")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return DeniedError(
            f"the file system refuses access to {what} ({reason})",
            advice="choose another path, or change its permissions",
        )
    if error.errno == errno.ENOENT:
        return NotFoundError(f"{what} does not exist", advice="check the path")
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(f"the name {what} is longer than this file system allows", advice="choose a shorter one")
    if error.errno == errno.EEXIST:
        return RejectedError(f"{what} exists already", advice="move it away, or choose another path")
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        return RejectedError(
            f"{what} is, or lies behind, a symbolic link or something that is not a folder",
            advice="use the real path",
        )
    return UnavailableError(f"the local disk failed at {what} ({reason})", advice="check the disk, then run it again")


def open_regular(path: Path | str, *, dir_fd: int | None = None) -> int:
    """Open a regular file for reading, not through a symbolic link at its last segment.

    Raises `OSError`; a symbolic link, device, FIFO, socket or folder is a `RejectedError`.
    """
    try:
        descriptor = os.open(path, _READ_FLAGS, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise _not_regular(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_regular(path)
    return descriptor


def find_small_file(path: Path, most_bytes: int) -> bytes | None:
    """Return what a regular file holds, one byte more than `most_bytes` at most; None where it is not there."""
    with disk_errors(str(path)):
        try:
            descriptor = open_regular(path)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read(most_bytes + 1)


def write_private(path: Path, body: bytes) -> None:
    """Write a file that its owner alone may read, whole or not at all, in place of an older one. Raises `OSError`."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, _CREATE_FLAGS, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def make_private_folder(folder: Path) -> None:
    """Make a folder for its owner alone; raise `DeniedError` if it is somebody else's. Raises `OSError`."""
    with suppress(FileExistsError):
        folder.mkdir(mode=PRIVATE_FOLDER_MODE)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
        raise DeniedError(f"{folder} is not a folder of this user", advice="move it away")
    if stat.S_IMODE(state.st_mode) != PRIVATE_FOLDER_MODE:
        folder.chmod(PRIVATE_FOLDER_MODE)


def open_directory(path: Path) -> int:
    """Open a folder, not through a symbolic link at its last segment. Raises `OSError`."""
    return os.open(path, _DIRECTORY_FLAGS)


@contextmanager
def opened_directory(path: Path) -> Iterator[int]:
    """Open a folder as `open_directory` does, until the block ends."""
    descriptor = open_directory(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_below(directory_fd: int, relative_path: str) -> int:
    """Open the regular file at a relative POSIX path for reading. Raises `OSError` or `RejectedError`."""
    *folders, name = split_relative_path(relative_path)
    with _walked(directory_fd, folders, create=False) as parent_fd:
        return open_regular(name, dir_fd=parent_fd)


def open_in(directory: Path, relative_path: str) -> int:
    """Open the regular file at a relative POSIX path of a folder for reading. Raises `OSError` or `RejectedError`."""
    with opened_directory(directory) as directory_fd:
        return open_below(directory_fd, relative_path)


def create_below(directory_fd: int, relative_path: str) -> int:
    """Create a new file at a relative POSIX path, with its folders, for reading and writing.

    Raises `OSError`, among them `FileExistsError`, or `RejectedError` for a path that is not plainly
    relative.
    """
    *folders, name = split_relative_path(relative_path)
    with _walked(directory_fd, folders, create=True) as parent_fd:
        return os.open(name, _CREATE_FLAGS, FILE_MODE, dir_fd=parent_fd)


def open_existing_below(directory_fd: int, relative_path: str) -> int:
    """Open the file at a relative POSIX path for reading and writing, not through a link. Raises `OSError`.

    A file with a second name is refused (`FileExistsError`): whoever has that name must not see us write.
    """
    *folders, name = split_relative_path(relative_path)
    with _walked(directory_fd, folders, create=False) as parent_fd:
        descriptor = os.open(name, _WRITE_FLAGS, dir_fd=parent_fd)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), relative_path)
    return descriptor


class OpenFolders:
    """The folders below a folder, as one thread needs them for thousands of files: each is walked to once.

    Close it when the work is done; the folder that was given stays open.
    """

    def __init__(self, directory_fd: int) -> None:
        self.directory_fd = directory_fd
        self._open: dict[str, int] = {}

    def create(self, relative_path: str) -> int:
        """Create a new file as `create_below` does."""
        parent_fd, name = self._find(relative_path, create=True)
        return os.open(name, _CREATE_FLAGS, FILE_MODE, dir_fd=parent_fd)

    def stat(self, relative_path: str) -> os.stat_result:
        """Return what there is to say of the regular file at a path. Raises `OSError` or `RejectedError`."""
        parent_fd, name = self._find(relative_path, create=False)
        status = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise _not_regular(relative_path)
        return status

    def remove(self, relative_path: str) -> None:
        """Remove a file. Raises `OSError`."""
        parent_fd, name = self._find(relative_path, create=False)
        os.unlink(name, dir_fd=parent_fd)

    def move(self, relative_path: str, target: OpenFolders) -> None:
        """Give a file the same path below another folder, in place of what has it. Raises `OSError`."""
        source_fd, name = self._find(relative_path, create=False)
        target_fd, _ = target._find(relative_path, create=True)
        os.rename(name, name, src_dir_fd=source_fd, dst_dir_fd=target_fd)
        with suppress(FileNotFoundError):  # of two names of one file, a rename leaves both
            os.unlink(name, dir_fd=source_fd)

    def close(self) -> None:
        """Close what was opened."""
        while self._open:  # bounded: each round takes one away
            os.close(self._open.popitem()[1])

    def _find(self, relative_path: str, *, create: bool) -> tuple[int, str]:
        *folders, name = split_relative_path(relative_path)
        if not folders:
            return self.directory_fd, name
        folder = "/".join(folders)
        if folder not in self._open:
            with _walked(self.directory_fd, folders, create=create) as parent_fd:
                if len(self._open) == MAX_OPEN_FOLDERS:
                    os.close(self._open.pop(next(iter(self._open))))
                self._open[folder] = os.dup(parent_fd)
        return self._open[folder], name


def remove_below(directory_fd: int, relative_path: str) -> None:
    """Remove the file at a relative POSIX path. Raises `OSError`."""
    *folders, name = split_relative_path(relative_path)
    with _walked(directory_fd, folders, create=False) as parent_fd:
        os.unlink(name, dir_fd=parent_fd)


def link_below(source: Path, directory_fd: int, relative_path: str) -> None:
    """Give a file a second name at a relative POSIX path, with its folders. Raises `OSError`."""
    *folders, name = split_relative_path(relative_path)
    with _walked(directory_fd, folders, create=True) as parent_fd:
        os.link(source, name, dst_dir_fd=parent_fd, follow_symlinks=False)


def link_open_file_below(descriptor: int, directory_fd: int, relative_path: str) -> None:
    """Give the file of a descriptor, whatever its name is now, a name at a relative POSIX path. Raises `OSError`."""
    *folders, name = split_relative_path(relative_path)
    with _walked(directory_fd, folders, create=True) as parent_fd:
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=parent_fd, follow_symlinks=True)


def split_relative_path(relative_path: str) -> list[str]:
    """Return the segments of a relative POSIX path; raise `RejectedError` if it could lead out of its folder.

    The grammar of artifact paths is stricter and was checked long before; this is the last line of defence.
    """
    segments = relative_path.split("/")
    if len(segments) > MAX_PATH_SEGMENTS or "\0" in relative_path or not _NO_NAMES.isdisjoint(segments):
        raise RejectedError(
            f"the path {relative_path!r} is not a plain relative path", advice="do not use this version"
        )
    return segments


def reserve(descriptor: int, start: int, stop: int) -> None:
    """Put disk space behind a range of a file, where the file system can. Raises `OSError`."""
    if start == stop:
        return
    try:
        os.posix_fallocate(descriptor, start, stop - start)
    except OSError as error:
        if error.errno not in _CANNOT_FALLOCATE:
            raise


def find_free_bytes(directory: Path) -> int | None:
    """Return how many bytes this user can still write beside a path; None where the file system does not say."""
    try:
        status = os.statvfs(directory)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize if status.f_blocks > 0 else None


def write_all(descriptor: int, body: memoryview, offset: int) -> None:
    """Write all of `body` at an offset. Raises `OSError`."""
    written = 0
    while written < len(body):  # bounded: each round writes at least one byte or raises
        count = os.pwrite(descriptor, body[written:], offset + written)
        if count == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        written += count


def write_all_at_end(descriptor: int, body: bytes) -> None:
    """Append all of `body`. Raises `OSError`."""
    written = 0
    while written < len(body):  # bounded: each round writes at least one byte or raises
        written += os.write(descriptor, body[written:])


def read_full(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Fill `buffer` from an offset and return the bytes read: fewer only at the end of the file."""
    filled = 0
    while filled < len(buffer):  # bounded: each round reads at least one byte or ends
        count = os.preadv(descriptor, [buffer[filled:]], offset + filled)
        if count == 0:
            break
        filled += count
    return filled


def copy_range(
    source_fd: int, source_offset: int, target_fd: int, target_offset: int, size_bytes: int, halt: Halt
) -> int:
    """Copy up to `size_bytes` between two places and return how many were there. Raises `OSError`.

    Where the file system can, both files share the blocks and nothing moves; else the kernel copies, if it can.
    """
    if clone_range(source_fd, source_offset, target_fd, target_offset, size_bytes):
        return size_bytes
    copied = 0
    in_kernel = hasattr(os, "copy_file_range")
    buffer = memoryview(b"")
    while copied < size_bytes:  # bounded: each round copies at least one byte or ends
        halt.check()
        wanted = min(COPY_STEP_BYTES, size_bytes - copied)
        if in_kernel:
            try:
                count = os.copy_file_range(source_fd, target_fd, wanted, source_offset + copied, target_offset + copied)
            except OSError as error:
                if error.errno not in _CANNOT_COPY_IN_KERNEL:
                    raise
                in_kernel = False
                continue
        else:
            buffer = buffer or memoryview(bytearray(1024 * 1024))
            count = read_full(source_fd, buffer[: min(len(buffer), wanted)], source_offset + copied)
            write_all(target_fd, buffer[:count], target_offset + copied)
        if count == 0:
            break
        copied += count
    return copied


def clone_range(source_fd: int, source_offset: int, target_fd: int, target_offset: int, size_bytes: int) -> bool:
    """Let a range of one file share the blocks of another's, and tell whether that was possible."""
    if size_bytes == 0:
        return False  # to the kernel, no size means all of the file
    request = struct.pack("qQQQ", source_fd, source_offset, size_bytes, target_offset)
    try:
        fcntl.ioctl(target_fd, _FICLONERANGE, request)
    except OSError:
        return False  # of many reasons (no such file system, not aligned, too short), none says that a copy fails
    return True


class _DiskErrors:
    """Not a generator, which costs five times as much: several of these surround each of many small files."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise translate_os_error(error, self._what) from error


@contextmanager
def _walked(directory_fd: int, folders: list[str], *, create: bool) -> Iterator[int]:
    if not folders:
        yield directory_fd
        return
    current = os.dup(directory_fd)
    try:
        for folder in folders:
            if create:
                # It is there when another file of this version, or another thread, needed it too.
                with suppress(FileExistsError):
                    os.mkdir(folder, folder_mode_below(os.fstat(current).st_mode), dir_fd=current)
            below = os.open(folder, _DIRECTORY_FLAGS, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _not_regular(path: Path | str) -> RejectedError:
    return RejectedError(
        f"{path} is not a regular file (symbolic links, devices, pipes and folders are refused)",
        advice="give the real file, or remove it from the folder",
    )
