"""Where what lies in a bundle: a header, the bytes of objects, an index of their digests, and a footer of fixed size.

Nothing is compressed, so that every object can be read by itself. The index comes last, since it is known last, and
the footer says where it is and what its digest is: that digest stands for the whole file, and is what is signed.
"""

from __future__ import annotations

import hashlib
import struct
from itertools import pairwise
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.schema.codec import Fields, decode_json, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HEADER = b"bucketry bundle 1\n"
NAMESPACE = "bundle@bucketry"
MOST_OBJECTS = 10_000_000
LARGEST_SIGNATURE_BYTES = 16_384
MOST_PIECES = 10_000
_FOOTER = struct.Struct(">8sQQQ32s")
_TAG = b"BKTBNDL1"
FOOTER_BYTES = _FOOTER.size
NO_BUNDLE = "this is no bundle, or one that was cut off"
ADVICE = "copy it again, and see whether it was exported to its end"


@frozen
class StoredObject:
    """Where an object's bytes lie in the file, as runs of start and size, in their order; and what they are."""

    sha256: str
    pieces: tuple[tuple[int, int], ...]

    @property
    def size_bytes(self) -> int:
        """The sum of all runs."""
        return sum(size_bytes for _, size_bytes in self.pieces)


@frozen
class Footer:
    """Where the index and the signature behind it lie, and the SHA-256 of the index."""

    index_at: int
    index_bytes: int
    signature_bytes: int
    sha256: str


def encode_footer(footer: Footer) -> bytes:
    """Return the last bytes of a bundle."""
    digest = bytes.fromhex(footer.sha256)
    return _FOOTER.pack(_TAG, footer.index_at, footer.index_bytes, footer.signature_bytes, digest)


def decode_footer(head: bytes, tail: bytes, *, file_bytes: int, what: str) -> Footer:
    """Return what the last bytes of a file say; raise `CorruptError` unless they and the first are a bundle's."""
    if head != HEADER:
        raise CorruptError(f"{what}: {NO_BUNDLE}", advice=ADVICE)
    tag, index_at, index_bytes, signature_bytes, digest = _FOOTER.unpack(tail)
    expected = index_at + index_bytes + signature_bytes + FOOTER_BYTES
    if tag != _TAG or index_at < len(HEADER) or expected != file_bytes or signature_bytes > LARGEST_SIGNATURE_BYTES:
        raise CorruptError(f"{what}: {NO_BUNDLE}", advice=ADVICE)
    return Footer(index_at, index_bytes, signature_bytes, digest.hex())


def signed_payload(sha256: str) -> bytes:
    """Return what the signature of a bundle is over, by the digest of its index."""
    return HEADER + f"{sha256}\n".encode()


def encode_index(objects: Mapping[str, StoredObject]) -> Iterable[bytes]:
    """Yield the lines of the index, in the order of the keys."""
    for key in sorted(objects):
        held = objects[key]
        yield encode({"key": key, "sha256": held.sha256, "pieces": [list(piece) for piece in held.pieces]}) + b"\n"


def decode_index(lines: Iterable[bytes], footer: Footer, *, what: str) -> dict[str, StoredObject]:
    """Return the objects by key, in order; raise `CorruptError` for what is no index, or not the one of the footer."""
    digest, objects = hashlib.sha256(), dict[str, StoredObject]()
    for line in lines:
        digest.update(line)
        key, held = _decode_line(line, footer.index_at, what=what)
        objects[key] = held
        if len(objects) > MOST_OBJECTS:
            raise CorruptError(f"{what} names more than {MOST_OBJECTS:,} objects")
    if digest.hexdigest() != footer.sha256 or any(before >= after for before, after in pairwise(objects)):
        raise CorruptError(f"{what}: its index is not the one that was written", advice=ADVICE)
    return objects


def _decode_line(line: bytes, end: int, *, what: str) -> tuple[str, StoredObject]:
    fields = Fields(decode_json(line, what=f"the index of {what}"), what=f"the index of {what}")
    pieces = fields.items("pieces", most=MOST_PIECES)
    for piece in pieces:
        is_pair = isinstance(piece, list) and len(piece) == 2 and all(type(number) is int for number in piece)
        if not is_pair or not (len(HEADER) <= piece[0] <= piece[0] + piece[1] <= end):
            raise CorruptError(f"{what}: its index names bytes outside of it", advice=ADVICE)
    return fields.text("key"), StoredObject(fields.digest("sha256"), tuple((piece[0], piece[1]) for piece in pieces))
