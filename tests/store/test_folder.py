"""Does a plain folder keep the promises of a bucket, and refuse what a folder cannot hold?"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import (
    BucketryError,
    CorruptError,
    DeniedError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
    UsageError,
)
from bucketry.store.contract import (
    SMALL_OBJECT_BYTES,
    Folder,
    IfAbsent,
    IfMatch,
    ObjectNotFoundError,
    StoreFullError,
    Unconditional,
)
from bucketry.store.folder.store import FolderStore
from store.contract import FreshETagContract, StoreContract

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.store.contract import Store


class TestFolderStore(StoreContract, FreshETagContract):
    part_size_bytes = 64 * 1024

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return FolderStore(tmp_path, durable=False)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path, durable=False)


def files_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


# --- what people see


def test_an_object_is_a_plain_file_that_people_can_read(store: FolderStore, tmp_path: Path) -> None:
    etag = store.put("heads/team/m.json", b'{"generation": 1}', IfAbsent())
    assert json.loads((tmp_path / "heads/team/m.json").read_bytes()) == {"generation": 1}
    for generation in range(2, 40):
        body = json.dumps({"generation": generation}).encode()
        etag = store.put("heads/team/m.json", body, IfMatch(etag))
        assert (tmp_path / "heads/team/m.json").read_bytes() == body
    assert store.local_path("heads/team/m.json") == tmp_path / "heads/team/m.json"


def test_nothing_staged_is_left_and_old_states_are_few(store: FolderStore, tmp_path: Path) -> None:
    etag = store.put("a/key", b"0", IfAbsent())
    for number in range(100):
        etag = store.put("a/key", str(number).encode(), IfMatch(etag))
    upload = store.start_upload("b")
    store.complete_upload("b", upload, [store.upload_part("b", upload, 1, 0, memoryview(b"1"))])
    store.put("c", b"1", Unconditional())
    store.put("a/key", b"last", Unconditional())
    assert [name for name in files_below(tmp_path) if name.startswith(".staging")] == []
    assert 8 <= len(list((tmp_path / ".cas/a/key").iterdir())) <= 16
    store.delete("a/key")
    assert files_below(tmp_path) == ["b", "c"]


def test_the_umask_decides_who_may_read(store: FolderStore, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        store.put("key", b"1", IfAbsent())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o640


def test_the_name_is_a_url_and_the_endpoint_the_same_for_all_folders(tmp_path: Path) -> None:
    store = FolderStore(f"{tmp_path}/")
    assert store.name == f"file://{tmp_path}"
    assert store.endpoint == "file"


# --- what a folder cannot hold


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "a/.",
        ".cas/a/0",
        ".staging/x",
        "a\\b",
        "a\0b",
        "\ud800",
        "k" * 1025,
    ],
)
def test_a_key_that_is_not_a_path_below_the_folder_is_refused(store: FolderStore, key: str) -> None:
    for use in (
        lambda: store.get(key),
        lambda: store.stat(key),
        lambda: store.put(key, b"1", IfAbsent()),
        lambda: store.delete(key),
        lambda: store.put_blob(key, memoryview(b"1")),
        lambda: store.start_upload(key),
        lambda: store.local_path(key),
    ):
        with pytest.raises(UsageError):
            use()


@pytest.mark.parametrize("prefix", ["../", "/", "a/../", ".cas/", ".staging/uploads/", "a//b"])
def test_a_prefix_outside_the_keys_is_refused_at_once(store: FolderStore, prefix: str) -> None:
    with pytest.raises(UsageError):
        store.list(prefix)


def test_an_object_and_a_folder_cannot_share_a_name(store: FolderStore) -> None:
    etag = store.put("a", b"1", IfAbsent())
    store.put("b/c", b"1", IfAbsent())
    for key in ("a/b", "b"):
        for condition in (IfAbsent(), Unconditional()):
            with pytest.raises(UnsupportedError):
                store.put(key, b"2", condition)
    store.delete("b")
    store.delete("a/b")
    assert store.get("a").etag == etag
    assert store.get("b/c").body == b"1"


def test_an_empty_folder_gives_way_to_an_object(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    store.put("a", b"1", IfAbsent())
    store.put("b", b"1", Unconditional())
    assert [store.get(key).body for key in "ab"] == [b"1", b"1"]


def test_a_key_like_a_state_number_is_no_state(store: FolderStore) -> None:
    etag = store.put("a/7", b"deep", IfAbsent())
    store.put("a/7", b"deeper", IfMatch(etag))
    with pytest.raises(ObjectNotFoundError):
        store.get("a")
    store.delete("a/7")
    store.put("a", b"flat", IfAbsent())
    assert store.get("a").body == b"flat"


def test_foreign_files_are_not_listed(store: FolderStore, tmp_path: Path) -> None:
    store.put("a/key", b"1", IfAbsent())
    for name in (".DS_Store", "a/back\\slash", "a/.nfs00000000012ab34c00000001"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".Trash").mkdir()
    (tmp_path / ".Trash/key").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/latin-\xe9")).write_bytes(b"x")
    assert [entry.key for entry in store.list("") if hasattr(entry, "key")] == ["a/key"]


# --- symbolic links and special files


def test_a_linked_folder_is_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    inside = FolderStore(tmp_path / "registry", durable=False)
    inside.create_root()
    (tmp_path / "registry/heads").symlink_to(outside)
    for use in (
        lambda: inside.get("heads/secret"),
        lambda: inside.put("heads/new", b"1", IfAbsent()),
        lambda: inside.put("heads/secret", b"1", Unconditional()),
        lambda: inside.put("heads/deep/new", b"1", Unconditional()),
        lambda: inside.delete("heads/secret"),
        lambda: inside.local_path("heads/secret"),
        lambda: list(inside.list("heads/")),
        lambda: list(inside.list("")),
        lambda: list(inside.list("heads/", delimiter="/")),
    ):
        with pytest.raises(CorruptError):
            use()
    # Whoever lists by folders goes on past it, and is told when it looks inside.
    inside.put("other/key", b"1", IfAbsent())
    assert list(inside.list("", delimiter="/")) == [Folder("heads/"), Folder("other/")]
    assert files_below(outside) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_a_linked_file_is_never_followed(store: FolderStore, tmp_path: Path) -> None:
    secret = tmp_path.parent / "secret"
    secret.write_bytes(b"secret")
    (tmp_path / "key").symlink_to(secret)
    with pytest.raises(CorruptError):
        store.get("key")
    # What cannot be read is seen all the same, so that nobody takes it for absent.
    assert [getattr(entry, "key", "") for entry in store.list("")] == ["key"]
    with pytest.raises(BucketryError):
        store.put("key", b"1", IfAbsent())
    store.put("key", b"2", Unconditional())
    assert secret.read_bytes() == b"secret"
    assert store.get("key").body == b"2"


def test_a_special_file_is_listed_and_never_waited_for(store: FolderStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(tmp_path / "socket"))
        # What cannot be read is seen all the same, so that nobody takes it for absent.
        assert [getattr(entry, "key", "") for entry in store.list("")] == ["pipe", "socket"]
        for key in ("pipe", "socket"):
            with pytest.raises(BucketryError):
                store.get(key)


@pytest.mark.parametrize("name", [".staging", ".staging/uploads", ".cas", ".cas/heads"])
@pytest.mark.parametrize("numbered", [False, True])
def test_the_stores_own_folders_are_never_followed_either(
    tmp_path: Path,
    name: str,
    numbered: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    root, outside = tmp_path / "registry", tmp_path / "outside"
    store = FolderStore(root, durable=False)
    store.create_root()
    etag = store.put("heads/key", b"1", IfAbsent())
    if numbered:
        etag = store.put("heads/key", b"2", IfMatch(etag))
    (root / name).parent.mkdir(exist_ok=True)
    if (root / name).exists():
        (root / name).rename(outside)
    else:
        outside.mkdir()
    (root / name).symlink_to(outside)
    before = files_below(outside)
    upload = "0" * 32
    staging: list[Callable[[], object]] = [
        lambda: store.start_upload("blob"),
        lambda: store.list_parts("blob", upload),
        lambda: list(store.list_uploads("")),
        lambda: store.sweep_staging(-60),
    ]
    if name == ".staging":
        staging += [lambda: store.put("heads/new", b"1", IfAbsent()), lambda: store.put_blob("b", memoryview(b"1"))]
    numbers: list[Callable[[], object]] = [lambda: store.put("heads/key", b"3", IfMatch(etag))]
    if before:
        numbers += [lambda: store.get("heads/key"), lambda: list(store.list("")), lambda: store.delete("heads/key")]
    for use in staging if name.startswith(".staging") else numbers:
        with pytest.raises(CorruptError, match="symbolic link"):
            use()
    assert files_below(outside) == before


def test_an_object_that_is_no_document_does_not_fill_the_memory(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    os.truncate(tmp_path / "key", SMALL_OBJECT_BYTES)
    assert len(store.get("key").body) == SMALL_OBJECT_BYTES
    os.truncate(tmp_path / "key", SMALL_OBJECT_BYTES + 1)
    with pytest.raises(CorruptError, match="larger than"):
        store.get("key")


def test_a_document_that_grows_while_it_is_read_is_read_as_it_was(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("key", b"123", IfAbsent())
    real = os.fstat

    def grow_after(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        with (tmp_path / "key").open("ab") as file:
            file.write(b"456")
        return found

    monkeypatch.setattr(os, "fstat", grow_after)
    assert store.get("key").body == b"123"


def test_a_pipe_is_refused_and_nobody_waits_for_it(store: FolderStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    with pytest.raises(CorruptError):
        store.get("key")


# --- when the system says no


def test_a_missing_registry_is_said_to_be_missing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "nowhere")
    for use in (
        lambda: store.get("key"),
        lambda: store.stat("key"),
        lambda: store.put("key", b"1", IfAbsent()),
        lambda: store.put("key", b"1", Unconditional()),
        lambda: list(store.list("")),
        lambda: store.start_upload("key"),
        lambda: store.list_parts("key", "0" * 32),
    ):
        with pytest.raises(NotFoundError, match="no registry folder"):
            use()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("number", "expected", "words"),
    [
        (errno.ENOSPC, StoreFullError, "disk is full"),
        (errno.EDQUOT, StoreFullError, "a quota is used up"),
        (errno.EFBIG, StoreFullError, "larger than this file system"),
        (errno.EACCES, DeniedError, "Permission denied"),
        (errno.EPERM, DeniedError, "not permitted"),
        (errno.EROFS, DeniedError, "Read-only"),
        (errno.ENOTSUP, UnsupportedError, "not supported"),
        (errno.EIO, UnavailableError, "error"),
    ],
)
@pytest.mark.parametrize("call", ["open", "pwrite", "utime", "link"])
def test_a_refusal_of_the_system_is_explained_and_leaves_nothing(  # noqa: PLR0917 - one for each case
    store: FolderStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    expected: type[BucketryError],
    words: str,
) -> None:
    etag = store.put("key", b"before", IfAbsent())

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        for key, condition in (("new", IfAbsent()), ("key", IfMatch(etag))):
            with pytest.raises(expected, match=words) as caught:
                store.put(key, b"after", condition)
            assert isinstance(caught.value.__cause__, OSError)
    assert files_below(tmp_path) == ["key"]
    assert store.get("key").body == b"before"


def test_a_disk_that_fills_up_in_the_middle_leaves_nothing(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite

    def fill_up(descriptor: int, body: memoryview, offset: int) -> int:
        if offset >= 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, body[:500], offset)

    upload = store.start_upload("big")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fill_up)
        with pytest.raises(StoreFullError, match="disk is full"):
            store.put_blob("blob", memoryview(bytes(2000)))
        with pytest.raises(StoreFullError, match="disk is full"):
            store.upload_part("big", upload, 1, 0, memoryview(bytes(2000)))
        assert list(store.list_parts("big", upload)) == []
        store.put("small", bytes(range(250)) * 4, IfAbsent())
    store.abort_upload("big", upload)
    assert files_below(tmp_path) == ["small"]
    assert store.get("small").body == bytes(range(250)) * 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_folder_without_permission_is_denied(store: FolderStore, tmp_path: Path) -> None:
    store.put("a/key", b"1", IfAbsent())
    (tmp_path / "a").chmod(0)
    try:
        with pytest.raises(DeniedError):
            store.get("a/key")
        with pytest.raises(DeniedError):
            store.put("a/new", b"1", IfAbsent())
    finally:
        (tmp_path / "a").chmod(0o755)


def test_an_error_of_the_caller_inside_a_range_stays_the_callers(store: FolderStore) -> None:
    etag = store.put("key", b"123", IfAbsent())
    with pytest.raises(OSError, match="target"), store.open_range("key", 0, 3, etag=etag):
        raise OSError(errno.ENOSPC, "the target is full")


def test_a_range_beyond_the_end_is_a_mistake_of_the_caller(store: FolderStore) -> None:
    etag = store.put("key", b"123", IfAbsent())
    with pytest.raises(UsageError), store.open_range("key", 0, 4, etag=etag):
        pass


def test_a_file_cut_short_in_place_is_no_end_of_the_range(store: FolderStore, tmp_path: Path) -> None:
    etag = store.put("key", b"123", IfAbsent())
    with store.open_range("key", 0, 3, etag=etag) as stream:
        os.truncate(tmp_path / "key", 0)
        with pytest.raises(UnavailableError):
            stream.readinto(memoryview(bytearray(3)))
