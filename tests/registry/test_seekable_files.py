from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_registry
from bucketry.errors import CorruptError
from bucketry.registry.core.artifacts import open_artifact
from bucketry.registry.reading.seekable_files import VerifiedFile
from registry.opened import make_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.client import Registry
    from bucketry.registry.core.artifacts import ArtifactReader

CONTENT = os.urandom(40_000_000)
CHUNK = 16 * 1024 * 1024


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "w.bin").write_bytes(CONTENT)
    make_registry(tmp_path / "registry")
    with open_registry(str(tmp_path / "registry"), identity="ada@example.org") as registry:
        registry.publish("acme/chat", [tmp_path / "w.bin"])
        yield registry


@pytest.fixture
def reader(registry: Registry) -> Iterator[ArtifactReader]:
    with open_artifact(registry.session, registry.resolve("acme/chat"), "w.bin") as opened:
        yield opened


def test_it_reads_like_any_file(reader: ArtifactReader) -> None:
    fetched: list[int] = []
    file, same = VerifiedFile(reader, fetched.append).buffered(), io.BytesIO(CONTENT)
    for offset, whence, size in [
        (0, 0, 10),
        (CHUNK - 5, 0, 10),
        (-7, 2, 20),
        (CHUNK + 5, 0, 3),
        (-7, 2, 9),
        (-3, 1, 2),
        (50_000_000, 0, 5),
        (1, 0, 100),
    ]:
        assert file.seek(offset, whence) == same.seek(offset, whence)
        assert file.read(size) == same.read(size)
        assert file.tell() == same.tell()
    assert file.readline() == same.readline()
    assert fetched == [CHUNK, CHUNK, len(CONTENT) - 2 * CHUNK, CHUNK]
    file.seek(0)
    assert file.read() == CONTENT


def test_there_is_nothing_before_the_start(reader: ArtifactReader) -> None:
    with pytest.raises(OSError, match="before the start"):
        VerifiedFile(reader).seek(-1)


def test_no_byte_of_a_damaged_chunk_is_given(registry: Registry, tmp_path: Path) -> None:
    blobs = [file for file in (tmp_path / "registry").rglob("*") if file.is_file()]
    (blob,) = (file for file in blobs if file.stat().st_size == len(CONTENT))
    blob.chmod(0o644)
    with blob.open("r+b") as damaged:
        damaged.seek(CHUNK + 1_000_000)
        damaged.write(b"damaged")
    with registry.open("acme/chat", "w.bin") as reader:
        file = VerifiedFile(reader)
        buffer = bytearray(10)
        assert file.readinto(buffer) == 10
        file.seek(CHUNK)
        with pytest.raises(CorruptError):
            file.readinto(buffer)
        assert bytes(buffer) == CONTENT[:10]
