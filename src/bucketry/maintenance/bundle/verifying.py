"""Reads a bundle to its end, and says what in it is not what it must be."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE
from bucketry.frozen import frozen
from bucketry.maintenance.bundle.versions import session_of
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.schema import keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.maintenance.bundle.reading import Bundle

PIECE_BYTES = 1024 * 1024


@frozen
class VerifiedBundle:
    """What was found: the keys of objects that are not what the index or the registry says, and how many were read."""

    wrong: tuple[str, ...]
    objects: int


def verify_bundle(bundle: Bundle, on_object: Callable[[int, int], None] | None = None) -> VerifiedBundle:
    """Compare every object with the index, and the registry in the bundle with itself, as `fsck --deep` does.

    The bytes of artifacts are read once, by the second of these, which compares them with their manifests.
    """
    wrong: dict[str, None] = {}
    total = len(bundle.keys)
    for number, key in enumerate(bundle.keys):
        if not key.startswith(keys.BLOBS) and _digest_of(bundle, key) != bundle.sha256_of(key):
            wrong[key] = None
        if on_object is not None:
            on_object(number + 1, total)
    try:
        report = check_registry(session_of(bundle), deep=True)
    except UNREADABLE:
        wrong[keys.REGISTRY] = None
    else:
        wrong.update((finding.key, None) for finding in report.damage)
    return VerifiedBundle(tuple(wrong), total)


def _digest_of(bundle: Bundle, key: str) -> str:
    digest, buffer = hashlib.sha256(), memoryview(bytearray(PIECE_BYTES))
    size_bytes = bundle.stat(key).size_bytes
    with bundle.open_range(key, 0, size_bytes, etag=None) as stream:
        while count := stream.readinto(buffer):  # bounded by the size
            digest.update(buffer[:count])
    return digest.hexdigest()
