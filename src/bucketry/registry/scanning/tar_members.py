"""Finds what lies where in a tar archive of any age: every byte of it is a member, a header, or something told."""

from __future__ import annotations

import tarfile
from typing import IO, TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.registry.scanning.compressed import DamagedError
from bucketry.registry.scanning.windows import size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES = 512
MOST_MEMBERS = 100_000
_CHECKSUM = slice(148, 156)


@frozen
class TarMember:
    """One regular member: its bytes are `start:stop` of the archive."""

    name: str
    start: int
    stop: int


@frozen
class TarLayout:
    """An archive's regular members, and the ranges that are no member's and no header's."""

    members: tuple[TarMember, ...]
    gaps: tuple[tuple[int, int], ...]


def is_tar(head: bytes) -> bool:
    """Return whether a file begins with a tar header of any age: the oldest have no magic, but all have a checksum."""
    block = head[:BLOCK_BYTES]
    if len(block) != BLOCK_BYTES or not block[0]:
        return False
    stated = block[_CHECKSUM].strip(b" \0")
    if not stated or stated.strip(b"01234567"):
        return False
    blank = block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop :]
    return int(stated, 8) in {sum(blank), sum(byte - 256 * (byte > 127) for byte in blank)}


def read_tar_layout(stream: IO[bytes]) -> TarLayout:
    """Return what lies where; raise `DamagedError` for what cannot be read, or is not as long as it says."""
    size_bytes = size_of(stream)
    stream.seek(0)
    members, taken = [], []
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for info in _iter_infos(archive):
                # Sparse members are put together from pieces as they are read.
                if info.issparse() or info.type in {tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE}:
                    raise DamagedError(f"the member {info.name[:100]!a} is of a kind that is not looked into")
                size = info.size if info.isreg() else 0
                stop = info.offset_data + size
                if stop > size_bytes:
                    raise DamagedError(f"the member {info.name[:100]!a} ends early")
                if info.isreg():
                    members.append(TarMember(info.name, info.offset_data, stop))
                taken.append((info.offset, stop))
    except (tarfile.TarError, ValueError, OSError, EOFError) as error:
        raise DamagedError(f"it cannot be read as tar: {error}"[:120]) from error
    gaps, position = [], 0
    for start, stop in [*taken, (size_bytes, size_bytes)]:
        if start > position:
            gaps.append((position, start))
        position = max(position, stop)
    return TarLayout(tuple(members), tuple(gaps))


def _iter_infos(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for _ in range(MOST_MEMBERS):
        info = archive.next()
        if info is None:
            return
        yield info
    raise DamagedError(f"it has more than {MOST_MEMBERS:,} members")
