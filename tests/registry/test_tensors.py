"""Are the right bytes of the right tensor read, few of them, and verified where they can be?"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bucketry.client import Reader, open_registry
from bucketry.errors import CorruptError, NotFoundError, UnavailableError, UnsupportedError, UsageError
from bucketry.registry.core.artifacts import ArtifactReader
from bucketry.registry.core.resolve import resolve
from bucketry.registry.core.session import Session
from bucketry.registry.reading import tensors
from bucketry.schema.names import parse_reference
from bucketry.transfer.disk import hashing
from registry.opened import make_registry
from registry.safetensors_files import make_file, make_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.client import Registry
    from bucketry.store.contract import ByteStream, Store

CHUNK_BYTES = 4096
FLOATS = np.arange(6_000, dtype="<f4").reshape(100, 60)
HALVES = np.linspace(-1, 1, 12, dtype="<f2").reshape(3, 2, 2)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setattr(hashing, "SMALLEST_CHUNK_BYTES", CHUNK_BYTES)
    make_registry(tmp_path / "registry")
    with open_registry(str(tmp_path / "registry"), identity="ada@example.org") as registry:
        yield registry


@pytest.fixture
def published(registry: Registry, tmp_path: Path) -> Registry:
    """Return a registry with two shards of several chunks, a card, and one more version."""
    folder = tmp_path / "out"
    folder.mkdir()
    first = {
        "floats": ("F32", [100, 60], FLOATS.tobytes()),
        "scalar": ("I64", [], (-7).to_bytes(8, "little", signed=True)),
    }
    second = {
        "halves": ("F16", [3, 2, 2], HALVES.tobytes()),
        "brain": ("BF16", [2], b"\x80\x3f\x00\xc0"),
        "tiny": ("F8_E4M3", [2], b"\x38\xb8"),
        "four": ("F4", [4], b"\x12\x34"),
        "none": ("F32", [0, 3], b""),
        "yes": ("BOOL", [2], b"\x01\x00"),
    }
    (folder / "a.safetensors").write_bytes(make_tensors(first))
    (folder / "b.safetensors").write_bytes(make_tensors(second))
    (folder / "README.md").write_text("# A model\n")
    registry.publish("acme/chat", [folder])
    (folder / "b.safetensors").write_bytes(make_tensors({"floats": ("U8", [1], b"x")}))
    registry.publish("acme/chat", [folder])
    return registry


class CountingStore:
    """A store that notes the ranges that are read, and can lie about one byte of an object."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.ranges: list[tuple[int, int]] = []
        self.lie_at: int | None = None
        self.break_after: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @contextmanager
    def open_range(self, key: str, start: int, stop: int, *, etag: Any) -> Iterator[ByteStream]:
        self.ranges.append((start, stop))
        with self.inner.open_range(key, start, stop, etag=etag) as stream:
            yield Stream(self, stream, start)


class Stream:
    def __init__(self, store: CountingStore, inner: ByteStream, position: int) -> None:
        self.store, self.inner, self.position, self.read = store, inner, position, 0

    def readinto(self, buffer: memoryview) -> int:
        if self.store.break_after is not None:
            if self.read >= self.store.break_after:
                raise UnavailableError("the connection broke")
            buffer = buffer[: self.store.break_after - self.read]
        count = self.inner.readinto(buffer)
        if self.store.lie_at is not None and self.position <= self.store.lie_at < self.position + count:
            buffer[self.store.lie_at - self.position] ^= 1
        self.position += count
        self.read += count
        return count


def counted(registry: Registry) -> tuple[Reader, Any]:
    store: Any = CountingStore(registry.session.store)
    return Reader(Session(store, "ada@example.org")), store


def test_all_files_of_a_version_are_listed_from_two_small_reads_each(published: Registry) -> None:
    reader, store = counted(published)
    listed = reader.tensors("acme/chat:1")
    assert [(one.name, one.dtype, one.shape, one.path) for one in listed] == [
        ("floats", "F32", (100, 60), "a.safetensors"),
        ("scalar", "I64", (), "a.safetensors"),
        ("halves", "F16", (3, 2, 2), "b.safetensors"),
        ("brain", "BF16", (2,), "b.safetensors"),
        ("tiny", "F8_E4M3", (2,), "b.safetensors"),
        ("four", "F4", (4,), "b.safetensors"),
        ("none", "F32", (0, 3), "b.safetensors"),
        ("yes", "BOOL", (2,), "b.safetensors"),
    ]
    assert listed[0].size_bytes == FLOATS.nbytes
    assert len(store.ranges) == 4
    assert sum(stop - start for start, stop in store.ranges) < 1_000


def test_a_tensor_of_each_kind_is_read(published: Registry) -> None:
    def read(name: str) -> Any:
        return published.read_tensor("acme/chat:1", name)

    assert np.array_equal(read("floats"), FLOATS)
    assert read("floats").dtype == np.float32
    assert read("scalar").shape == ()
    assert read("scalar") == -7
    assert np.array_equal(read("halves"), HALVES)
    assert read("none").shape == (0, 3)
    assert read("yes").tolist() == [True, False]
    read("floats")[0, 0] = 1  # an array of its own, which may be written


def test_floats_that_numpy_does_not_have_come_as_their_bits(published: Registry) -> None:
    bits = published.read_tensor("acme/chat:1", "brain")
    assert bits.dtype == np.uint16
    assert (bits.astype(np.uint32) << 16).view(np.float32).tolist() == [1.0, -2.0]
    assert published.read_tensor("acme/chat:1", "tiny").tolist() == [0x38, 0xB8]
    with pytest.raises(UnsupportedError, match="no array of F4") as caught:
        published.read_tensor("acme/chat:1", "four")
    (four,) = (one for one in published.tensors("acme/chat:1") if one.name == "four")
    assert f"{four.start} to {four.stop} of b.safetensors" in caught.value.advice
    with published.open("acme/chat:1", four.path) as file:
        assert file.read_range(four.start, four.stop) == b"\x12\x34"


@pytest.mark.parametrize(
    "rows",
    [slice(None), slice(0, 1), slice(37, 62), slice(99, None), slice(-3, -1), slice(5, 5), slice(7, 3), slice(90, 900)],
    ids=str,
)
@pytest.mark.parametrize("verified", [False, True])
def test_rows_are_those_of_the_whole_tensor(published: Registry, rows: slice, *, verified: bool) -> None:
    found = published.read_tensor("acme/chat:1", "floats", rows=rows, verified=verified)
    assert np.array_equal(found, FLOATS[rows])
    assert found.shape == FLOATS[rows].shape


def test_rows_of_an_entry_cost_one_read_of_their_bytes(published: Registry) -> None:
    reader, store = counted(published)
    resolved = reader.resolve("acme/chat:1")
    entry = reader.tensors(resolved)[0]
    store.ranges.clear()
    reader.read_tensor(resolved, entry, rows=slice(1, 3))
    assert store.ranges == [(entry.start + 240, entry.start + 720)]


def test_only_whole_chunks_are_verified_unless_it_is_asked_for(published: Registry) -> None:
    reader, store = counted(published)
    resolved = reader.resolve("acme/chat:1")
    entry = reader.tensors(resolved)[0]
    assert entry.start < CHUNK_BYTES < 2 * CHUNK_BYTES < entry.stop
    store.lie_at = CHUNK_BYTES + 1
    with pytest.raises(CorruptError, match=r"chunk 1 of 'a\.safetensors'"):
        reader.read_tensor(resolved, entry)
    store.lie_at = CHUNK_BYTES - 1
    assert not np.array_equal(reader.read_tensor(resolved, entry), FLOATS)
    with pytest.raises(CorruptError, match=r"chunk 0 of 'a\.safetensors'"):
        reader.read_tensor(resolved, entry, verified=True)


def test_a_header_is_verified_if_that_is_asked_for(published: Registry) -> None:
    reader, store = counted(published)
    assert reader.tensors("acme/chat:1", verified=True) == reader.tensors("acme/chat:1")
    store.lie_at = CHUNK_BYTES - 1
    reader.tensors("acme/chat:1")
    with pytest.raises(CorruptError, match="chunk 0"):
        reader.tensors("acme/chat:1", verified=True)


def test_a_broken_connection_goes_on_where_it_broke(published: Registry) -> None:
    reader, store = counted(published)
    entry = reader.tensors("acme/chat:1")[0]
    store.break_after = 1_000
    assert np.array_equal(reader.read_tensor("acme/chat:1", entry), FLOATS)
    store.break_after = 0
    with pytest.raises(UnavailableError, match="connection broke"):
        reader.read_tensor("acme/chat:1", entry)


def test_a_name_in_two_files_is_refused_and_its_entries_are_read(published: Registry) -> None:
    with pytest.raises(UsageError, match=r"'a\.safetensors' and 'b\.safetensors'"):
        published.read_tensor("acme/chat:2", "floats")
    other = published.tensors("acme/chat:2")[-1]
    assert published.read_tensor("acme/chat:2", other).tolist() == [ord("x")]
    with pytest.raises(UsageError, match="listed for another version"):
        published.read_tensor("acme/chat:1", other)


def test_what_is_not_there_is_not_found(published: Registry, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no tensor 'nothing'"):
        published.read_tensor("acme/chat:1", "nothing")
    published.publish("acme/plain", [tmp_path / "out" / "README.md"])
    with pytest.raises(NotFoundError, match=r"no \.safetensors file"):
        published.tensors("acme/plain:1")


def test_rows_that_cannot_be_read_in_one_piece_are_refused(published: Registry) -> None:
    with pytest.raises(UsageError, match="without leaving any out"):
        published.read_tensor("acme/chat:1", "floats", rows=slice(0, 10, 2))
    with pytest.raises(UsageError, match="single number"):
        published.read_tensor("acme/chat:1", "scalar", rows=slice(0, 1))


def test_too_many_tensors_are_refused(published: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "MOST_TENSORS", 7)
    with pytest.raises(UnsupportedError, match="more than 7 tensors"):
        published.tensors("acme/chat:1")


def test_a_hostile_header_is_corrupt_before_anything_of_its_size_is_read(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(make_file({}, b"", length=2**40))
    registry.publish("acme/hostile", [file])
    reader, store = counted(registry)
    with pytest.raises(CorruptError, match=r"'model\.safetensors' is not a valid safetensors file"):
        reader.tensors("acme/hostile:1")
    assert store.ranges == [(0, 8)]


def test_without_numpy_it_says_what_to_install(published: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(UnsupportedError, match="NumPy is not installed") as caught:
        published.read_tensor("acme/chat:1", "floats")
    assert caught.value.advice == "pip install bucketry[numpy]"
    assert len(published.tensors("acme/chat:1")) == 8


def test_files_of_the_safetensors_package_are_read(registry: Registry, tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    made = {"w": FLOATS, "b": np.arange(5, dtype=np.int8), "z": np.zeros((0, 2), np.float64), "s": np.array(2.5)}
    package.save_file(made, tmp_path / "model.safetensors", metadata={"format": "np"})
    registry.publish("acme/real", [tmp_path / "model.safetensors"])
    assert {entry.name for entry in registry.tensors("acme/real:1")} == set(made)
    for name, expected in made.items():
        found = registry.read_tensor("acme/real:1", name)
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert np.array_equal(found, expected)


def test_numpy_is_loaded_for_arrays_only() -> None:
    program = "import sys, bucketry.client, bucketry.registry.reading.tensors; assert 'numpy' not in sys.modules"
    source = str(Path(__file__).parents[2] / "src")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env={"PYTHONPATH": source})


def test_a_reader_verifies_by_the_file_s_own_chunks(published: Registry) -> None:
    with published.open("acme/chat:1", "a.safetensors") as file:
        assert isinstance(file, ArtifactReader)
        assert file.covers_whole_chunks(CHUNK_BYTES, file.size_bytes)
        assert not file.covers_whole_chunks(0, CHUNK_BYTES + 1)


def test_the_tensors_of_one_file_are_listed_without_the_others(published: Registry) -> None:
    _, store = counted(published)
    session = Session(store, "ada@example.org")
    resolved = resolve(session, parse_reference("acme/chat:1"))
    listed = tensors.list_tensors(session, resolved, path="a.safetensors")
    assert [one.name for one in listed] == ["floats", "scalar"]
    assert len(store.ranges) == 2
    with pytest.raises(NotFoundError):
        tensors.list_tensors(session, resolved, path="README.md")
