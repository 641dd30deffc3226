"""Finds out whether a folder still holds what a pull left in it, and nothing else.

The receipt in the folder names each file with its digest, its size and its time of change. Looking costs one `lstat`
for each file and reads none of them: whatever was removed, cut, edited or put there shows. Bytes that were changed
while size and time stayed do not: only hashing finds those. A receipt is a claim by whoever can write here.

Where a version appears file by file (see `in_place`), the folder has no receipt meanwhile, and `changing.json` says
which files in it are ours.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from contextlib import closing, suppress
from dataclasses import field
from typing import TYPE_CHECKING

from bucketry.errors import ContendedError, RejectedError, UsageError
from bucketry.frozen import frozen
from bucketry.transfer.disk.leftovers import is_workplace_name
from bucketry.transfer.disk.local_files import (
    OpenFolders,
    create_below,
    disk_errors,
    open_below,
    open_directory,
    opened_directory,
    split_relative_path,
    write_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

OWN_FOLDER = ".bucketry"
RECEIPT_PATH = f"{OWN_FOLDER}/receipt.json"
CHANGING_NAME = "changing.json"
CHANGING_PATH = f"{OWN_FOLDER}/{CHANGING_NAME}"
LOCK_NAME = "lock"
TURN_PREFIX = "turn-"
LOST_AND_FOUND = "lost+found"
"""The folder that `mkfs` makes at the root of some file systems: it belongs to nobody and is never entered."""
RECEIPT_FORMAT = 1
MAX_RECEIPT_BYTES = 32 * 1024 * 1024
MAX_LOOKS = 32
_SHA256 = re.compile("[0-9a-f]{64}")
_PARSED = frozenset({"format", "registry", "model", "manifest", "files"})
_MOVED = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENOENT})


@frozen
class RecordedFile:
    """What a pull noted of a file that it had just verified; `changed_at_ns` is its `st_mtime_ns`."""

    sha256: str
    size_bytes: int
    changed_at_ns: int


@frozen
class Receipt:
    """Which version a pull left in a folder, by the registry's id, the model's name and the manifest's SHA-256.

    `about` is all else that the pull wrote of it, unchecked.
    """

    registry: str
    model: str
    manifest: str
    files: Mapping[str, RecordedFile]
    about: Mapping[str, object] = field(default_factory=dict)

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file by path: a claim to be verified."""
        return {path: file.sha256 for path, file in self.files.items()}


@frozen
class Absent:
    """Nothing is at the target."""


@frozen
class Empty:
    """A folder with nothing in it is at the target: as good as none."""


@frozen
class Incomplete:
    """A pull that works within the folder has not finished, or died: nothing here is a version.

    `files` are those that may lie here, by path with a digest that each may have: all of them are ours.
    """

    files: Mapping[str, str]

    def rejection(self, destination: Path) -> RejectedError:
        """Return the error for whoever needs a version here."""
        return RejectedError(
            f"a pull into {destination} has not finished (it has no {RECEIPT_PATH} yet)", advice="pull it again"
        )


@frozen
class Ours:
    """A version that a pull made is at the target, with no file beside those of its receipt.

    `changed` are the files that are missing, or whose size or time is no longer what the receipt says. `identity` is
    of the folder and of its receipt, which a version that takes its place does not share.
    """

    receipt: Receipt
    changed: frozenset[str]
    identity: tuple[int, ...]


@frozen
class Foreign:
    """Something else is at the target, and stays as it is."""

    reason: str
    advice: str = "choose another target, or move it away"

    def rejection(self) -> RejectedError:
        """Return the error that says so."""
        return RejectedError(f"{self.reason}, so it is left untouched", advice=self.advice)


TargetState = Absent | Empty | Incomplete | Ours | Foreign


def inspect_target(destination: Path) -> TargetState:
    """Return what is at a target now. Raises `DeniedError` where it may not be read, `UsageError` for no such name."""
    if "\0" in str(destination):
        raise UsageError("a target's name cannot have a NUL character", advice="choose another target")
    with disk_errors(str(destination)):
        for _ in range(MAX_LOOKS):
            try:
                status = destination.lstat()
                if not stat.S_ISDIR(status.st_mode):
                    kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a folder"
                    return Foreign(f"{destination} is {kind}")
                directory_fd = open_directory(destination)
            except FileNotFoundError:
                return Absent()
            try:
                receipt_before = _identify(directory_fd)
                state = _inspect_directory(destination, directory_fd, receipt_before)
                # What was replaced while we looked, and is being removed, says nothing about what is here now; nor does
                # what was looked at while another version took its place file by file.
                if _is_still_at(destination, directory_fd) and _identify(directory_fd) == receipt_before:
                    return state
            finally:
                os.close(directory_fd)
    raise ContendedError(f"others kept changing {destination}", advice="run it again")


def is_right_already(there: TargetState, staged: Ours, distrusted: Ours | None) -> bool:
    """Tell whether the same files of the same version are there, unchanged, and not the ones that are distrusted."""
    return (
        isinstance(there, Ours)
        and not there.changed
        and there.receipt.manifest == staged.receipt.manifest
        and there.receipt.digests == staged.receipt.digests
        and (distrusted is None or there.identity != distrusted.identity)
    )


def write_receipt(directory: Path, digests: Mapping[str, str], about: Mapping[str, object]) -> None:
    """Record in a staged version its files, given by path with their SHA-256, as they lie there now.

    `about` has at least `registry`, `model` and `manifest`; the rest of it is kept as it is.
    """
    files: dict[str, RecordedFile] = {}
    with disk_errors(str(directory)), opened_directory(directory) as directory_fd:
        with closing(OpenFolders(directory_fd)) as folders:
            for path, sha256 in digests.items():
                status = folders.stat(path)
                files[path] = RecordedFile(sha256, status.st_size, status.st_mtime_ns)
        body = _encode_receipt(about, files)
        descriptor = create_below(directory_fd, RECEIPT_PATH)
        try:
            write_all(descriptor, memoryview(body), 0)
        finally:
            os.close(descriptor)


def _encode_receipt(about: Mapping[str, object], files: Mapping[str, RecordedFile]) -> bytearray:
    """Return the receipt's bytes: keys sorted, a line for each file, which the encoder itself takes its time for."""
    is_right = all(_is_digest(file.sha256) and _is_file_path(path) for path, file in files.items())
    head = {**about, "format": RECEIPT_FORMAT, "files": {}}
    if not files or not is_right or _parse_head(head) is None:
        raise UsageError("a receipt needs its registry, model, manifest and files")
    encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
    body = bytearray(b"{")
    for number, (name, value) in enumerate(sorted(head.items())):
        body += f"{',' if number else ''}\n {encode(name)}: {'{' if name == 'files' else encode(value)}".encode()
        if name == "files":
            between = "\n"
            for path, file in sorted(files.items()):
                body += (
                    f'{between}  {encode(path)}: {{"changed_at_ns": {file.changed_at_ns},'
                    f' "sha256": "{file.sha256}", "size_bytes": {file.size_bytes}}}'
                ).encode()
                between = ",\n"
            body += b"\n }"
    return body + b"\n}\n"


def parse_receipt(document: object) -> Receipt | None:
    """Return the receipt that a JSON document is, or None for anything that no pull writes."""
    if not isinstance(document, dict):
        return None
    head = _parse_head(document)
    if head is None:
        return None
    registry, model, manifest, listed = head
    if not listed:
        return None
    files = {path: _parse_file(file) for path, file in listed.items() if _is_file_path(path)}
    known = {path: file for path, file in files.items() if file is not None}
    if len(known) < len(listed):
        return None
    about = {name: value for name, value in document.items() if name not in _PARSED}
    return Receipt(registry, model, manifest, known, about)


def _parse_head(document: dict[str, object]) -> tuple[str, str, str, dict[str, object]] | None:
    """Return registry, model, manifest and the files as they stand there, or None."""
    if document.get("format") != RECEIPT_FORMAT:
        return None
    registry, model, manifest, listed = (document.get(name) for name in ("registry", "model", "manifest", "files"))
    if not (isinstance(registry, str) and isinstance(model, str) and _is_digest(manifest) and isinstance(listed, dict)):
        return None
    return registry, model, str(manifest), listed


def _parse_file(document: object) -> RecordedFile | None:
    if not isinstance(document, dict) or not _is_digest(document.get("sha256")):
        return None
    size_bytes, changed_at_ns = document.get("size_bytes"), document.get("changed_at_ns")
    # Not isinstance: to it, true is an integer.
    if type(size_bytes) is not int or type(changed_at_ns) is not int or size_bytes < 0:
        return None
    return RecordedFile(str(document["sha256"]), size_bytes, changed_at_ns)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _is_file_path(path: str) -> bool:
    try:
        return split_relative_path(path)[0] != OWN_FOLDER
    except RejectedError:
        return False


def write_changing(descriptor: int, files: Mapping[str, str]) -> None:
    """Write into an open file which files may lie in a folder while it has no receipt. Raises `OSError`."""
    document = {"format": RECEIPT_FORMAT, "files": dict(files)}
    body = json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1).encode()
    write_all(descriptor, memoryview(body), 0)


def _inspect_directory(destination: Path, directory_fd: int, identity: tuple[int, ...]) -> TargetState:
    try:
        document = _read_own(directory_fd, RECEIPT_PATH)
    except FileNotFoundError:
        return _inspect_unfinished(destination, directory_fd)
    except (RejectedError, OSError) as error:
        return _foreign_own(destination, RECEIPT_PATH, error)
    receipt = parse_receipt(document)
    if receipt is None:
        return Foreign(f"{destination} has a {RECEIPT_PATH} that is not one of a pull")
    unchanged = _compare(destination, directory_fd, receipt.files.keys(), receipt.files)
    if isinstance(unchanged, Foreign):
        return unchanged
    return Ours(receipt, frozenset(receipt.files.keys() - unchanged), identity)


def _inspect_unfinished(destination: Path, directory_fd: int) -> TargetState:
    """Return what a folder without a receipt is."""
    names = set(os.listdir(directory_fd)) - {LOST_AND_FOUND}
    if not names and _is_lost_and_found_a_folder(directory_fd):
        return Empty()
    no_pulls = Foreign(f"{destination} is a folder that no pull made (it has no {RECEIPT_PATH})")
    if OWN_FOLDER not in names:
        return no_pulls
    try:
        files = _parse_changing(_read_own(directory_fd, CHANGING_PATH))
    except FileNotFoundError:
        files = {}  # a pull makes its folder first, and writes that file when it begins to change others
        if names != {OWN_FOLDER}:
            return no_pulls
    except (RejectedError, OSError) as error:
        return _foreign_own(destination, CHANGING_PATH, error)
    if files is None:
        return Foreign(f"{destination} has a {CHANGING_PATH} that is not one of a pull")
    unchanged = _compare(destination, directory_fd, files.keys(), {})
    return unchanged if isinstance(unchanged, Foreign) else Incomplete(files)


def _read_own(directory_fd: int, path: str) -> object:
    """Return the JSON document in a file of ours, None for no such. Raises `OSError`, `RejectedError` for a link."""
    descriptor = open_below(directory_fd, path)
    with os.fdopen(descriptor, "rb") as file:
        body = file.read(MAX_RECEIPT_BYTES + 1)
    try:
        document: object = json.loads(body) if len(body) <= MAX_RECEIPT_BYTES else None
    except (ValueError, RecursionError):
        return None
    return document


def _foreign_own(destination: Path, path: str, error: OSError | RejectedError) -> Foreign:
    if isinstance(error, RejectedError):
        return Foreign(f"{destination} has a {path} that no pull made ({error})")
    if error.errno not in _MOVED:
        raise error
    return Foreign(f"{destination} has a {path} that no pull made (it is behind a link or a file)")


def _parse_changing(document: object) -> dict[str, str] | None:
    if not isinstance(document, dict) or document.get("format") != RECEIPT_FORMAT:
        return None
    files = document.get("files")
    if not isinstance(files, dict) or not all(_is_file_path(path) and _is_digest(files[path]) for path in files):
        return None
    return files


def _is_lost_and_found_a_folder(directory_fd: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(LOST_AND_FOUND, dir_fd=directory_fd, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return True


def _compare(
    destination: Path, directory_fd: int, paths: AbstractSet[str], recorded: Mapping[str, RecordedFile]
) -> set[str] | Foreign:
    """Look at everything in the folder, and return the files that are as recorded.

    What is not one of these paths is somebody's, and makes all of it foreign.
    """
    folders = {OWN_FOLDER}
    for path in paths:
        segments = path.split("/")
        folders.update("/".join(segments[:depth]) for depth in range(1, len(segments)))
    unchanged = set()
    for path, status in _iter_entries(directory_fd, "", folders):
        if not (
            (stat.S_ISREG(status.st_mode) and path in paths)
            or (stat.S_ISDIR(status.st_mode) and path in folders)
            or _is_own(path, status)
        ):
            kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder", stat.S_IFREG: "a file"}
            kind = kinds.get(stat.S_IFMT(status.st_mode), "a special file")
            fault = "is not of the version that a pull put there"
            if path in paths or path in folders:
                fault = "stands where a pull put something else"
            return Foreign(
                f"{destination / path} is {kind} that {fault}",
                advice=f"move it out of {destination}, then run it again, or choose another target",
            )
        file = recorded.get(path)
        if file and (file.size_bytes, file.changed_at_ns) == (status.st_size, status.st_mtime_ns):
            unchanged.add(path)
    return unchanged


def _is_own(path: str, status: os.stat_result) -> bool:
    """Tell whether this is what a pull that works within the folder has there, or the file system itself."""
    if stat.S_ISDIR(status.st_mode):
        own, _, name = path.partition("/")
        return path == LOST_AND_FOUND or (own == OWN_FOLDER and is_workplace_name(name))
    if not stat.S_ISREG(status.st_mode):
        return False
    own, _, name = path.partition("/")
    return path == RECEIPT_PATH or (
        own == OWN_FOLDER and (name in {CHANGING_NAME, LOCK_NAME} or name.startswith(TURN_PREFIX))
    )


def _iter_entries(directory_fd: int, prefix: str, folders: set[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything below a folder, entering those folders alone that may be there: so depth is bounded."""
    with os.scandir(directory_fd) as entries:
        for entry in entries:
            path = f"{prefix}{entry.name}"
            try:
                status = entry.stat(follow_symlinks=False)
                yield path, status
                if path in folders and stat.S_ISDIR(status.st_mode):
                    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                    below_fd = os.open(entry.name, flags, dir_fd=directory_fd)
                    try:
                        yield from _iter_entries(below_fd, f"{path}/", folders)
                    finally:
                        os.close(below_fd)
            except OSError as error:
                # Removed or replaced since it was listed: its files count as missing, and the next look finds what is
                # there instead.
                if error.errno not in _MOVED:
                    raise


def _identify(directory_fd: int) -> tuple[int, ...]:
    """Return what tells this folder with this receipt from any other."""
    folder = os.fstat(directory_fd)
    identity: tuple[int, ...] = (folder.st_dev, folder.st_ino)
    with suppress(OSError):
        receipt = os.stat(RECEIPT_PATH, dir_fd=directory_fd, follow_symlinks=False)
        identity += (receipt.st_ino, receipt.st_mtime_ns, receipt.st_size)
    return identity


def _is_still_at(destination: Path, directory_fd: int) -> bool:
    try:
        here, looked_at = destination.lstat(), os.fstat(directory_fd)
    except FileNotFoundError:
        return False
    return (here.st_dev, here.st_ino) == (looked_at.st_dev, looked_at.st_ino)
