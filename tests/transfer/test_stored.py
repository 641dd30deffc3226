"""Are the bytes of another store verified on their way, whatever it does, and left to the stores where they can?"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, UnavailableError, UnsupportedError
from bucketry.store.contract import ObjectNotFoundError, Unconditional
from bucketry.store.folder.store import FolderStore
from bucketry.store.memory import MemoryStore
from bucketry.transfer.disk.hashing import ChunkDigests, FileDigest
from bucketry.transfer.up.stored import StoredFile
from bucketry.transfer.up.upload import upload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.store.contract import ByteStream, ETag, Store

CHUNK = 1024 * 1024 + 1
BODY = bytes(range(256)) * (3 * CHUNK // 256)
SMALL = b"a few bytes"


def stored(source: Store, body: bytes, *, by_store: bool = False, name: str = "a") -> StoredFile:
    """Put a body into the source, and return it as what is to be copied."""
    source.put(f"blobs/{name}", body, Unconditional())
    chunks = [body[start : start + CHUNK] for start in range(0, len(body), CHUNK)]
    digests = ChunkDigests(CHUNK, tuple(hashlib.sha256(chunk).hexdigest() for chunk in chunks), ())
    digest = FileDigest(len(body), hashlib.sha256(body).hexdigest(), digests)
    return StoredFile(source, f"blobs/{name}", f"copies/{name}", digest, name, by_store=by_store)


class Breaking(MemoryStore):
    """A source whose replies break off after some bytes, until it has broken off so often."""

    def __init__(self, breaks: int, *, after_bytes: int) -> None:
        super().__init__()
        self.breaks = breaks
        self.after_bytes = after_bytes
        self.opened: list[tuple[int, int]] = []

    @contextmanager
    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> Iterator[ByteStream]:  # type: ignore[override] # another stream
        self.opened.append((start, stop))
        with super().open_range(key, start, stop, etag=etag) as stream:
            if self.breaks:
                self.breaks -= 1
                yield _Short(stream, self.after_bytes)
            else:
                yield stream


class _Short:
    def __init__(self, stream: ByteStream, left: int) -> None:
        self._stream = stream
        self._left = left

    def readinto(self, buffer: memoryview) -> int:
        if self._left == 0:
            raise UnavailableError("the connection broke")
        count = self._stream.readinto(buffer[: self._left])
        self._left -= count
        return count


@pytest.mark.parametrize("body", [b"", SMALL, BODY], ids=["empty", "small", "large"])
def test_an_object_of_another_store_arrives_as_it_is(body: bytes) -> None:
    target = MemoryStore()
    (done,) = upload(target, [stored(MemoryStore(), body)])
    assert target.get("copies/a").body == body
    assert (done.uploaded_bytes, done.copied_bytes) == (len(body), 0)
    (again,) = upload(target, [stored(MemoryStore(), body)])
    assert again.already_there


@pytest.mark.parametrize("body", [SMALL, BODY], ids=["small", "large"])
def test_a_source_that_breaks_off_is_asked_for_the_rest(body: bytes) -> None:
    source, target = Breaking(4, after_bytes=5), MemoryStore()
    upload(target, [stored(source, body)])
    assert target.get("copies/a").body == body
    assert any(start % CHUNK == 5 for start, _ in source.opened)


@pytest.mark.parametrize("body", [SMALL, BODY], ids=["small", "large"])
def test_bytes_that_are_not_those_of_the_manifest_become_no_object(body: bytes) -> None:
    source, target = MemoryStore(), MemoryStore()
    file = stored(source, body)
    source.put("blobs/a", body[:-1] + b"?", Unconditional())
    with pytest.raises(CorruptError, match="blobs/a"):
        upload(target, [file])
    assert list(target.list("")) == []


def test_an_object_that_is_gone_is_said_to_be() -> None:
    source = MemoryStore()
    file = stored(source, BODY)
    source.delete("blobs/a")
    with pytest.raises(ObjectNotFoundError):
        upload(MemoryStore(), [file])


def pairs(folder: Path) -> dict[str, tuple[Store, Store]]:
    for name in ("one", "two"):
        (folder / name).mkdir()
    return {
        "memory": (MemoryStore(), MemoryStore()),
        "folder": (FolderStore(folder / "one"), FolderStore(folder / "two")),
    }


@pytest.mark.parametrize("kind", ["memory", "folder"])
@pytest.mark.parametrize("body", [b"", SMALL, BODY], ids=["empty", "small", "large"])
def test_a_store_that_can_copies_by_itself(body: bytes, kind: str, tmp_path: Path) -> None:
    source, target = pairs(tmp_path)[kind]
    (done,) = upload(target, [stored(source, body, by_store=True)])
    assert target.get("copies/a").body == body
    assert (done.uploaded_bytes, done.copied_bytes) == (0, len(body))
    assert list(target.list_uploads("")) == []


def test_what_cannot_be_copied_is_sent(tmp_path: Path) -> None:
    source, target = pairs(tmp_path)["folder"][0], MemoryStore()
    with pytest.raises(UnsupportedError):
        target.copy_part("a", target.start_upload("a"), 1, 0, "b", 0, 1, source=source)
    files = [stored(source, body, by_store=True, name=str(number)) for number, body in enumerate((SMALL, BODY, SMALL))]
    done = upload(target, files)
    assert [one.copied_bytes for one in done] == [0, 0, 0]
    assert [target.get(file.key).body for file in files] == [SMALL, BODY, SMALL]
