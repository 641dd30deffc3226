"""Lets a large object grow in a folder, part by part and by many processes, before it appears at once.

Each upload is a folder `.staging/uploads/<id>/`: `key` names the object, `data` receives each part at its
offset, and `part-<number>` is written after the part is, so whoever resumes the upload sees only what is
really there.
"""

# Descriptors and flags need `os`, and a Path would cost more than the call that it is made for.
# ruff: noqa: PTH105, PTH108, PTH116, PTH123, PTH208

from __future__ import annotations

import os
import re
import shutil
import uuid
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UsageError
from bucketry.frozen import frozen
from bucketry.store.contract import ObjectNotFoundError, Part
from bucketry.store.folder.files import STAGING, StagedObject, copy_range, identify, write_all, write_body
from bucketry.store.modes import SHARED_FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bucketry.store.contract import Body
    from bucketry.store.folder.files import Files
    from bucketry.store.folder.registers import FolderRegisters

LONGEST_NOTE_CHARACTERS = 64 * 1024
"""Of what an upload keeps beside its bytes: its key, and where each part lies."""
UPLOADS = f"{STAGING}/uploads"
MOST_PARTS = 10_000
_UPLOAD = re.compile(r"[0-9a-f]{32}")
_MARKER = re.compile(r"part-[1-9][0-9]{0,4}")


@frozen
class _Marker:
    part: Part
    offset: int


class Uploads:
    """The unfinished large objects below one folder."""

    def __init__(self, files: Files, registers: FolderRegisters) -> None:
        self._files = files
        self._registers = registers

    def start(self, key: str) -> str:
        """Make the folder of a new upload and return its id, which cannot be guessed."""
        upload = uuid.uuid4().hex
        self._files.make_folders_of(self._path(upload, "data"))
        descriptor = os.open(self._path(upload, "data"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, SHARED_FILE_MODE)
        os.close(descriptor)
        # An upload exists once it has its key.
        self._write_small(upload, "key", key)
        return upload

    def write_part(self, key: str, upload: str, number: int, offset: int, body: Body, sha256: str | None) -> Part:
        """Write one part where it belongs, then its marker. Its ETag is its SHA-256, where the caller says it."""
        part = Part(number, sha256 or uuid.uuid4().hex, len(body))
        self._fill_part(key, upload, part, offset, lambda descriptor: write_body(descriptor, body, offset))
        return part

    def copy_part(self, key: str, upload: str, number: int, offset: int, source: tuple[int, int, int]) -> Part:
        """Copy one part from `source`, a descriptor with start and stop, then write its marker."""
        _, start, stop = source
        part = Part(number, uuid.uuid4().hex, stop - start)
        self._fill_part(key, upload, part, offset, lambda descriptor: copy_range(source, descriptor, offset))
        return part

    def parts(self, key: str, upload: str) -> list[Part]:
        """Return the parts that are whole, by number."""
        return [marker.part for marker in self._markers(key, upload)]

    def complete(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Give the file its name, if no other has it, and forget the upload."""
        markers = {marker.part: marker.offset for marker in self._markers(key, upload)}
        size_bytes = 0
        for part in sorted(parts, key=lambda part: part.number):
            if markers.get(part) != size_bytes:
                raise UsageError(
                    f"part {part.number} of {key} was not uploaded like this, or one before it is missing",
                    advice="ask for the list of parts and upload the missing ones",
                )
            size_bytes += part.size_bytes
        with self._data(key, upload) as descriptor:
            found = os.fstat(descriptor)
            # More than one link: an earlier completion published the file and died. It must stay as it is.
            if found.st_nlink == 1:
                if found.st_size < size_bytes:
                    raise CorruptError(
                        f"the upload {upload} of {key} is shorter than its parts",
                        advice="abort it and upload again",
                    )
                os.ftruncate(descriptor, size_bytes)
                identity = self._files.seal(descriptor)
            else:
                identity = identify(found)
            self._registers.create(key, StagedObject(self._path(upload, "data"), identity))
        self._remove(upload)

    def abort(self, key: str, upload: str) -> None:
        """Remove the upload, if it is known."""
        with suppress(ObjectNotFoundError):
            self._check(key, upload)
            self._remove(upload)

    def unfinished(self, prefix: str) -> list[tuple[str, str, datetime]]:
        """Return key, id and start of every upload below the prefix, in key order."""
        found = []
        for upload in self._ids():
            with suppress(FileNotFoundError):
                path = self._path(upload, "key")
                key = _read_small(path)
                started_at = datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
                if key.startswith(prefix):
                    found.append((key, upload, started_at))
        return sorted(found)

    def sweep(self, before_seconds: float) -> int:
        """Remove uploads in which nothing changed since this time (of the epoch); return how many."""
        count = 0
        for upload in self._ids():
            with suppress(FileNotFoundError):
                folder = self._path(upload, "")
                with os.scandir(folder) as found:
                    times_seconds = [entry.stat(follow_symlinks=False).st_mtime for entry in found]
                newest_seconds = max(times_seconds, default=os.stat(folder).st_mtime)
                if newest_seconds < before_seconds:
                    self._remove(upload)
                    count += 1
        return count

    def _fill_part(self, key: str, upload: str, part: Part, offset: int, fill: Callable[[int], None]) -> None:
        if not 1 <= part.number <= MOST_PARTS or offset < 0:
            raise UsageError(f"part {part.number} at offset {offset} of {key}: parts count from 1 to {MOST_PARTS}")
        with self._data(key, upload) as descriptor:
            if os.fstat(descriptor).st_nlink > 1:
                # The object has appeared from this file, and will not change any more.
                raise _unknown(key, upload)
            fill(descriptor)
            if self._files.durable:
                # Otherwise a power failure could keep the marker and lose the part.
                os.fdatasync(descriptor)
            try:
                self._write_small(upload, f"part-{part.number}", f"{offset} {part.size_bytes} {part.etag}")
            except FileNotFoundError as error:
                raise _unknown(key, upload) from error

    def _path(self, upload: str, name: str) -> str:
        return self._files.path(f"{UPLOADS}/{upload}/{name}")

    def _ids(self) -> list[str]:
        self._files.check_folders_of(self._files.path(f"{UPLOADS}/any"))
        try:
            names = os.listdir(self._files.path(UPLOADS))
        except FileNotFoundError:
            return []
        return [name for name in names if _UPLOAD.fullmatch(name)]

    def _check(self, key: str, upload: str) -> None:
        if not _UPLOAD.fullmatch(upload):
            raise _unknown(key, upload)
        self._files.check_folders_of(self._path(upload, "key"))
        try:
            found = _read_small(self._path(upload, "key"))
        except (FileNotFoundError, NotADirectoryError) as error:
            self._files.check_root()
            raise _unknown(key, upload) from error
        if found != key:
            raise _unknown(key, upload)

    @contextmanager
    def _data(self, key: str, upload: str) -> Iterator[int]:
        self._check(key, upload)
        try:
            descriptor = os.open(self._path(upload, "data"), os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise _unknown(key, upload) from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _markers(self, key: str, upload: str) -> list[_Marker]:
        self._check(key, upload)
        markers = []
        with suppress(FileNotFoundError):
            for name in os.listdir(self._path(upload, "")):
                if not _MARKER.fullmatch(name):
                    continue
                number = int(name.removeprefix("part-"))
                # A power failure can leave an empty marker; then the part counts as not sent.
                with suppress(ValueError):
                    offset, size_bytes, etag = _read_small(self._path(upload, name)).split()
                    markers.append(_Marker(Part(number, etag, int(size_bytes)), int(offset)))
        return sorted(markers, key=lambda marker: marker.part.number)

    def _write_small(self, upload: str, name: str, text: str) -> None:
        temporary = self._path(upload, f"new-{uuid.uuid4().hex}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SHARED_FILE_MODE)
        try:
            write_all(descriptor, text.encode(), 0)
            if self._files.durable:
                os.fsync(descriptor)
            os.replace(temporary, self._path(upload, name))
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)

    def _remove(self, upload: str) -> None:
        # Without its key the upload is unknown at once; what a crash leaves of it is swept.
        with suppress(FileNotFoundError):
            os.unlink(self._path(upload, "key"))
        shutil.rmtree(self._path(upload, ""), ignore_errors=True)


def _read_small(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read(LONGEST_NOTE_CHARACTERS)


def _unknown(key: str, upload: str) -> ObjectNotFoundError:
    return ObjectNotFoundError(f"there is no upload {upload} of {key}", advice="start the upload again")
