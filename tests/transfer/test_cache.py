from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, UsageError
from bucketry.store.memory import MemoryStore
from bucketry.transfer.disk.cache import Cache
from bucketry.transfer.disk.cache_place import default_cache_root
from bucketry.transfer.disk.target import prepare_target, publish_target
from bucketry.transfer.disk.upkeep import prune_cache, verify_cache
from bucketry.transfer.down.download import LocalSources
from bucketry.transfer.down.remote import plan_of
from bucketry.transfer.down.reuse import blobs_of
from transfer.helpers import CONTENTS, fetch, hooked, read_tree, stock
from transfer.pulls import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.store.contract import Store
    from bucketry.transfer.down.remote import RemoteFile

MODEL = "acme/chat"
FIRST = "1" * 64
SECOND = "2" * 64


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", clock=Clock())


def pull_to_cache(store: Store, cache: Cache, files: Sequence[RemoteFile], manifest: str) -> Path:
    """Bring a version into the cache, as a pull without a destination does."""
    known = cache.find_version("registry", MODEL, manifest)
    if known is not None:
        return known
    path = cache.version_path("registry", MODEL, manifest)
    with prepare_target(path) as staging:
        missing = cache.fill(files, staging.directory)
        plan = plan_of(path.name, manifest, files)
        fetch(store, missing, staging.directory, nearby=LocalSources(staging, plan, [blobs_of(cache)]))
        cache.adopt(missing, staging.directory)
        record(staging.directory, files, manifest)
        publish_target(staging)
    found = cache.find_version("registry", MODEL, manifest)
    assert found is not None
    return found


@pytest.fixture(params=["links", "copies", "copies of one mode"])
def any_file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "copies of one mode":

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EPERM, "one mode for all files")

        monkeypatch.setattr(Path, "chmod", refuse)
    if request.param.startswith("copies"):

        def cannot(*_: object, **__: object) -> None:
            raise OSError(errno.EOPNOTSUPP, "no hard links here")

        monkeypatch.setattr(os, "link", cannot)
    return str(request.param)


@pytest.mark.usefixtures("any_file_system")
def test_a_version_that_was_pulled_once_needs_no_store_again(tmp_path: Path, cache: Cache) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", CONTENTS)
    assert read_tree(pull_to_cache(store, cache, files, FIRST)) == CONTENTS
    store.calls.clear()
    path = pull_to_cache(store, cache, files, SECOND)
    assert read_tree(path) == CONTENTS
    assert store.calls == []
    assert path == cache.root / "versions/registry/acme/chat" / SECOND
    assert list((cache.root / "tmp").iterdir()) == []


def test_versions_share_their_bytes_which_are_read_only(tmp_path: Path, cache: Cache) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", CONTENTS)
    first, second = (pull_to_cache(store, cache, files, manifest) for manifest in (FIRST, SECOND))
    for file in files:
        blob = cache.find(file.sha256)
        assert blob is not None
        assert blob.samefile(first / file.path)
        assert blob.samefile(second / file.path)
        assert stat.S_IMODE(blob.stat().st_mode) == 0o444


def test_what_is_added_is_found_by_its_digest(tmp_path: Path, cache: Cache) -> None:
    one = stock(MemoryStore(), tmp_path / "out", {"one.bin": b"x"})[0]
    assert cache.find(one.sha256) is None
    path = cache.add(one.sha256, tmp_path / "out/one.bin")
    assert cache.find(one.sha256) == path
    assert path.read_bytes() == b"x"
    assert (tmp_path / "out/one.bin").exists()


def test_wrong_bytes_never_enter(tmp_path: Path, cache: Cache) -> None:
    one = stock(MemoryStore(), tmp_path / "out", {"one.bin": b"x"})[0]
    (tmp_path / "out/one.bin").write_bytes(b"y")
    with pytest.raises(CorruptError, match="does not have the digest"):
        cache.add(one.sha256, tmp_path / "out/one.bin")
    with pytest.raises(CorruptError, match="does not have the digest"):
        cache.adopt([one], tmp_path / "out")
    assert cache.find(one.sha256) is None
    assert list((cache.root / "tmp").iterdir()) == []


def damage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"?" * path.stat().st_size)


def test_a_damaged_blob_is_neither_linked_nor_copied_and_goes(tmp_path: Path, cache: Cache) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", {"a": b"right"})
    blob = cache.add(files[0].sha256, tmp_path / "out/a")
    damage(blob)
    with prepare_target(tmp_path / "target", plan_of("target", FIRST, files)) as staging:
        nearby = LocalSources(staging, plan_of("target", FIRST, files), [blobs_of(cache)])
        fetched = fetch(store, files, staging.directory, nearby=nearby)
        assert (fetched.reused_bytes, fetched.fetched_bytes) == (0, 5)
        assert read_tree(staging.directory) == {"a": b"right"}
    (tmp_path / "staging").mkdir()
    assert cache.fill(files, tmp_path / "staging") == tuple(files)
    assert not blob.exists()
    assert read_tree(pull_to_cache(store, cache, files, FIRST)) == {"a": b"right"}


def test_verifying_removes_exactly_what_is_wrong(tmp_path: Path, cache: Cache) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", {"a": b"aa", "b": b"bb"})
    first = pull_to_cache(store, cache, files, FIRST)
    second = pull_to_cache(store, cache, files[1:], SECOND)
    assert verify_cache(cache) == ()
    damage(first / "a")
    removed = verify_cache(cache)
    assert sorted(entry.kind for entry in removed) == ["blob", "version"]
    assert not first.exists()
    assert read_tree(second) == {"b": b"bb"}
    assert cache.find(files[0].sha256) is None
    assert cache.find(files[1].sha256) is not None


def test_a_version_that_was_changed_or_misplaced_is_not_found(tmp_path: Path, cache: Cache) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", {"a": b"aa", "b": b"bb"})
    path = pull_to_cache(store, cache, files, FIRST)
    path.rename(path.with_name(SECOND))
    assert cache.find_version("registry", MODEL, SECOND) is None
    assert [entry.path for entry in verify_cache(cache)] == [path.with_name(SECOND)]
    (pull_to_cache(store, cache, files, FIRST) / "b").unlink()
    assert cache.find_version("registry", MODEL, FIRST) is None


@pytest.mark.parametrize("fault", ["missing", "extra"])
def test_a_version_with_other_files_than_its_receipt_is_wrong(tmp_path: Path, cache: Cache, fault: str) -> None:
    store = MemoryStore()
    path = pull_to_cache(store, cache, stock(store, tmp_path / "out", {"a": b"aa", "b": b"bb"}), FIRST)
    if fault == "missing":
        (path / "b").unlink()
    else:
        (path / "c").write_bytes(b"cc")
    assert [entry.path for entry in verify_cache(cache)] == [path]


def test_pruning_takes_what_was_not_used_for_longest(tmp_path: Path, cache: Cache) -> None:
    store = MemoryStore()
    contents = {name: name.encode() * 1000 for name in "abc"}
    a, b, c = stock(store, tmp_path / "out", contents)
    first = pull_to_cache(store, cache, [a, b], FIRST)
    second = pull_to_cache(store, cache, [b, c], SECOND)
    for file in (b, c, a):
        cache.find(file.sha256)
    cache.find_version("registry", MODEL, FIRST)
    assert prune_cache(cache, 3000).removed == ()
    pruned = prune_cache(cache, 2000)
    assert [(entry.kind, entry.path.name) for entry in pruned.removed] == [
        ("version", SECOND),
        ("blob", c.sha256),
    ]
    assert (pruned.freed_bytes, pruned.kept_bytes) == (1000, 2000)
    assert not second.exists()
    assert read_tree(first) == {"a": contents["a"], "b": contents["b"]}
    assert prune_cache(cache, 0).kept_bytes == 0
    assert cache.entries() == ()


def test_pruning_sweeps_what_dead_processes_left(cache: Cache) -> None:
    (cache.root / "tmp").mkdir(parents=True)
    for name in ("old", "young"):
        (cache.root / "tmp" / name).write_bytes(b"")
    day_ago = time.time() - 25 * 3600
    os.utime(cache.root / "tmp/old", (day_ago, day_ago))
    prune_cache(cache, 10**9)
    assert [path.name for path in (cache.root / "tmp").iterdir()] == ["young"]


def test_entries_tell_sizes_and_last_use(tmp_path: Path, cache: Cache) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", {"a": b"aa", "b": b"bbb"})
    path = pull_to_cache(store, cache, files, FIRST)
    blob = cache.find(files[0].sha256)
    entries = {entry.path: entry for entry in cache.entries()}
    assert entries[path].size_bytes == 5
    assert blob is not None
    assert entries[blob].size_bytes == 2
    assert entries[blob].used_at > entries[path].used_at > 1_000_000


def test_looking_is_not_using(tmp_path: Path, cache: Cache) -> None:
    store = MemoryStore()
    pull_to_cache(store, cache, stock(store, tmp_path / "out", CONTENTS), FIRST)
    before = cache.entries()
    verify_cache(cache)
    after = cache.entries()
    assert [entry.path for entry in after] == [entry.path for entry in before]
    assert [entry.used_at for entry in after] == pytest.approx([entry.used_at for entry in before], abs=1e-3)


def test_many_pulls_into_one_cache_at_once_all_find_their_version(tmp_path: Path, cache: Cache) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", CONTENTS)
    with ThreadPoolExecutor(6) as pool:
        manifests = [FIRST, SECOND] * 3
        paths = list(pool.map(lambda manifest: pull_to_cache(store, cache, files, manifest), manifests))
    assert all(read_tree(path) == CONTENTS for path in paths)
    assert verify_cache(cache) == ()


def test_only_digests_are_keys_and_only_plain_names_are_versions(cache: Cache) -> None:
    for wrong in ("", "../x", "A" * 64):
        with pytest.raises(UsageError):
            cache.find(wrong)
        with pytest.raises(UsageError):
            cache.version_path("registry", MODEL, wrong)
    with pytest.raises(UsageError):
        cache.version_path("registry", "chat", FIRST)


def test_where_the_cache_lies() -> None:
    home = Path("/home/me")
    assert default_cache_root({}, home) == home / ".cache/bucketry"
    assert default_cache_root({"XDG_CACHE_HOME": "/x"}, home) == Path("/x/bucketry")
    assert default_cache_root({"XDG_CACHE_HOME": "/x", "BUCKETRY_CACHE": "/b"}, home) == Path("/b")


def test_whether_any_of_many_blobs_is_here_is_known(tmp_path: Path, cache: Cache) -> None:
    assert not cache.holds_any([FIRST, SECOND])
    (tmp_path / "file").write_bytes(b"x")
    digest = hashlib.sha256(b"x").hexdigest()
    cache.add(digest, tmp_path / "file")
    assert cache.holds_any([FIRST, digest, SECOND])
    assert not cache.holds_any([FIRST, SECOND])
