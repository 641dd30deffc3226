"""Says which files are to be fetched, and checks that their sizes and digests agree with each other."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.transfer.disk.hashing import EMPTY_SHA256

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.transfer.plan import Verify

_NAME_DIGITS = 16


@frozen
class RemoteFile:
    """A file to fetch: a relative POSIX path, and digests in lower-case hex, chunks in order."""

    path: str
    key: str
    size_bytes: int
    sha256: str
    chunk_size_bytes: int
    chunk_sha256: tuple[str, ...]
    chunk_xxh3_128: tuple[str, ...]

    def bounds(self, index: int) -> tuple[int, int]:
        """Return where a chunk begins and ends."""
        start = index * self.chunk_size_bytes
        return start, min(self.size_bytes, start + self.chunk_size_bytes)

    def chunk_digest(self, index: int, verify: Verify) -> str:
        """Return what a chunk's digest must be."""
        return (self.chunk_sha256 if verify == "sha256" else self.chunk_xxh3_128)[index]


def check_consistent(file: RemoteFile) -> None:
    """Raise `CorruptError` if the sizes and digests of a file contradict each other."""
    chunks = -(-file.size_bytes // file.chunk_size_bytes) if file.chunk_size_bytes > 0 else -1
    whole = {0: (EMPTY_SHA256,), 1: file.chunk_sha256}.get(chunks)
    if (
        file.size_bytes < 0
        or len(file.chunk_sha256) != chunks
        or len(file.chunk_xxh3_128) != chunks
        or (whole is not None and whole != (file.sha256,))
    ):
        raise CorruptError(
            f"the sizes and digests recorded for {file.path} contradict each other",
            advice="do not use this version; run fsck on the registry",
        )


@frozen
class Plan:
    """What is being put together: its files, whose order numbers them, and a short name.

    The name is equal for the same files of a version at one target. It proves nothing: whoever finds work under the
    same name verifies it.
    """

    name: str
    files: tuple[RemoteFile, ...]


def plan_of(target: str, manifest: str, files: Sequence[RemoteFile]) -> Plan:
    """Return the plan to put these files of a manifest together for a target of this name."""
    digest = hashlib.sha256(f"{target}\0{manifest}".encode("utf-8", "surrogateescape"))
    for file in files:
        digest.update(f"\0{file.path}\0{file.sha256}\0{file.chunk_size_bytes}".encode("utf-8", "surrogateescape"))
    return Plan(digest.hexdigest()[:_NAME_DIGITS], tuple(files))
