"""Which blobs did somebody read and find right, and in which object? A check need not read these again.

Each is a fact about one object: a blob that was replaced since has another ETag, and is read.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class VerifiedBlobs:
    """Objects whose chunks have certain digests, each kept as 128 bits: a million take 100 MB."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def add(self, key: str, etag: str, chunk_bytes: int, sha256: Iterable[str]) -> None:
        """Note that the object at the key with this ETag consists of just these chunks."""
        self._known.add(_name(key, etag, chunk_bytes, sha256))

    def has(self, key: str, etag: str, chunk_bytes: int, sha256: Iterable[str]) -> bool:
        """Return whether that was noted."""
        return _name(key, etag, chunk_bytes, sha256) in self._known


def _name(key: str, etag: str, chunk_bytes: int, sha256: Iterable[str]) -> bytes:
    return hashlib.sha256(f"{key}\n{etag}\n{chunk_bytes}\n{' '.join(sha256)}".encode()).digest()[:16]
