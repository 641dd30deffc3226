"""Is a version in a folder that cannot be replaced complete, or has it no receipt, whatever happens?"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import shutil
import signal
import stat
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import BucketryError, RejectedError, UnavailableError
from bucketry.store.memory import MemoryStore
from bucketry.transfer.disk import durable, in_place, receipt, target
from bucketry.transfer.disk import local_files as localfiles
from bucketry.transfer.disk.receipt import Absent, Empty, Foreign, Incomplete, Ours, inspect_target
from bucketry.transfer.disk.target import prepare_target, publish_target, sweep_beside
from bucketry.transfer.down.reuse import OlderFile, version_in
from bucketry.transfer.pace import turns
from bucketry.transfer.pace.workers import Halt
from faults.file_systems import mounted
from transfer.helpers import CHUNK_BYTES, read_tree, stock
from transfer.mounts import irreplaceable
from transfer.pulls import digest_of, pull, pull_and_count, staged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from bucketry.store.contract import Store

STRIDE = 29
"""Of the steps at which a process may die, every so manieth is tried: the calls and returns of one file's change."""
KINDS = ["file system", "bound folder", "sealed parent", "sticky parent"]
OLD = {"a": b"1" * 3000, "same": b"s" * 5000, "turns/into-file": b"1", "file-into-folder": b"1", "gone/deep/x": b"1"}
NEW = {"a": b"2" * 3000, "same": b"s" * 5000, "turns": b"2t", "file-into-folder/x": b"2f", "new/deep/x": b"2n"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, home: Path) -> Iterator[Path]:
    with irreplaceable(request.param, home) as folder:
        yield folder


@pytest.fixture
def volume(home: Path) -> Iterator[Path]:
    with irreplaceable("file system", home) as folder:
        yield folder


def own_files(folder: Path) -> list[str]:
    return sorted(entry.name for entry in (folder / ".bucketry").iterdir() if entry.name != "lock")


def check_holds(folder: Path, contents: dict[str, bytes], manifest: str) -> None:
    there = inspect_target(folder)
    assert isinstance(there, Ours)
    assert not there.changed
    assert there.receipt.manifest == digest_of(manifest)
    assert read_tree(folder) == contents
    assert own_files(folder) == ["receipt.json"]
    assert all(any(path.rglob("*")) for path in folder.rglob("*") if path.is_dir())  # no empty folder stays


def test_a_version_appears_and_is_updated_in_a_folder_that_cannot_be_replaced(place: Path) -> None:
    inode = place.stat().st_ino
    first = staged(place, OLD, "m1")
    assert first.is_within  # and not found out by a rename that fails, after which all would be copied
    assert publish_target(first) == "appeared"
    check_holds(place, OLD, "m1")
    assert publish_target(staged(place, NEW, "m2")) == "replaced"
    check_holds(place, NEW, "m2")
    assert publish_target(staged(place, NEW, "m2")) == "already_there"
    assert publish_target(staged(place, OLD, "m1")) == "replaced"
    check_holds(place, OLD, "m1")
    assert place.stat().st_ino == inode
    assert [entry.name for entry in place.parent.iterdir()] == ["chat"]


def sync_only_files(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let folders not be synced, as on CIFS; return the descriptors of the files that are."""
    synced: list[int] = []
    fsync = os.fsync

    def only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        synced.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    return synced


def test_a_volume_that_cannot_bring_a_folder_to_the_disk_is_filled_all_the_same(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = sync_only_files(monkeypatch)
    for contents, manifest in ((OLD, "m1"), (NEW, "m2")):
        publish_target(staged(place, contents, manifest))
        check_holds(place, contents, manifest)
    assert len(synced) >= len(OLD) + len(NEW)


def test_a_new_target_appears_where_no_folder_can_be_brought_to_the_disk(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = sync_only_files(monkeypatch)
    for contents, manifest in ((OLD, "m1"), (NEW, "m2")):
        publish_target(staged(home / "new" / "chat", contents, manifest))
        check_holds(home / "new" / "chat", contents, manifest)
    assert len(synced) >= len(OLD) + len(NEW)


def test_a_file_that_does_not_reach_the_disk_is_not_handed_out(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    first = staged(place, OLD, "m1")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(BucketryError):
        publish_target(first)
    assert not isinstance(inspect_target(place), Ours)


@pytest.mark.parametrize("kind", ["plain", "open"])
def test_an_empty_folder_that_can_be_replaced_is(home: Path, kind: str) -> None:
    (home / "chat").mkdir(mode=0o750)
    inode = (home / "chat").stat().st_ino
    handle = os.open(home / "chat", os.O_RDONLY) if kind == "open" else None
    assert isinstance(inspect_target(home / "chat"), Empty)
    assert publish_target(staged(home / "chat", OLD, "m1")) == "appeared"
    check_holds(home / "chat", OLD, "m1")
    assert (home / "chat").stat().st_ino != inode
    assert (home / "chat").stat().st_mode & 0o777 == 0o750
    if handle is not None:
        os.close(handle)


def test_lost_and_found_is_nothing_and_stays(volume: Path) -> None:
    (volume / "lost+found").mkdir(mode=0o700)
    assert isinstance(inspect_target(volume), Empty)
    for contents, manifest in ((OLD, "m1"), (NEW, "m2")):
        publish_target(staged(volume, contents, manifest))
        assert (volume / "lost+found").is_dir()
        (volume / "lost+found").rmdir()
        check_holds(volume, contents, manifest)
        (volume / "lost+found").mkdir(mode=0o700)
    (volume / "lost+found").rmdir()
    (volume / "lost+found").write_bytes(b"mine")
    assert isinstance(inspect_target(volume), Foreign)


def test_a_folder_with_lost_and_found_is_never_replaced(home: Path) -> None:
    (home / "chat/lost+found").mkdir(parents=True)
    (home / "chat/lost+found/precious").write_bytes(b"mine")
    publish_target(staged(home / "chat", {"a": b"1"}, "m1"))
    publish_target(staged(home / "chat", {"a": b"2"}, "m2"))
    assert read_tree(home / "chat") == {"a": b"2", "lost+found/precious": b"mine"}


def test_what_somebody_else_put_there_is_refused_and_untouched(volume: Path) -> None:
    (volume / "thesis.txt").write_bytes(b"mine")
    with pytest.raises(RejectedError, match="left untouched"):
        publish_target(staged(volume, OLD, "m1"))
    assert read_tree(volume) == {"thesis.txt": b"mine"}
    (volume / "thesis.txt").unlink()
    with staged(volume, OLD, "m1") as staging:
        (volume / "thesis.txt").write_bytes(b"mine")
        with pytest.raises(RejectedError, match="left untouched"):
            publish_target(staging)
    assert read_tree(volume) == {"thesis.txt": b"mine"}


def test_programs_keep_the_bytes_that_they_have_open(volume: Path) -> None:
    publish_target(staged(volume, OLD, "m1"))
    with (volume / "a").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        publish_target(staged(volume, NEW, "m2"))
        assert mapped[:] == OLD["a"]
        assert file.read() == OLD["a"]
    assert (volume / "a").read_bytes() == NEW["a"]


def test_the_receipt_goes_first_and_comes_last(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_target(staged(volume, OLD, "m1"))
    seen: list[bool] = []
    honest = localfiles.OpenFolders.move

    def look(*arguments: object) -> None:
        seen.append((volume / receipt.RECEIPT_PATH).exists())
        assert isinstance(inspect_target(volume), Incomplete)
        honest(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(localfiles.OpenFolders, "move", look)
    publish_target(staged(volume, NEW, "m2"))
    assert seen == [False] * len(NEW)


def test_an_unfinished_version_is_no_version_and_the_next_pull_finishes_it(
    volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    old, new = (stock(store, volume.parent / name, contents) for name, contents in (("o", OLD), ("n", NEW)))
    pull(store, old, volume, "m1")
    with monkeypatch.context() as broken:
        calls = iter(range(100))

        def fail(*arguments: object) -> None:
            if next(calls) == 3:
                raise OSError(5, "the disk failed")
            honest(*arguments)  # type: ignore[arg-type]

        honest = localfiles.OpenFolders.move
        broken.setattr(localfiles.OpenFolders, "move", fail)
        with pytest.raises(UnavailableError):
            pull(store, new, volume, "m2")
    there = inspect_target(volume)
    assert isinstance(there, Incomplete)
    assert there.files.keys() == OLD.keys() | NEW.keys()
    (volume / "thesis.txt").write_bytes(b"mine")
    assert isinstance(inspect_target(volume), Foreign)
    (volume / "thesis.txt").unlink()
    pull(store, new, volume, "m2")
    check_holds(volume, NEW, "m2")


WATCHED = frozenset(module.__file__ for module in (durable, in_place, localfiles, receipt, target, turns))


def in_a_process_that_dies_at(step: int, work: Callable[[], object]) -> bool:
    """Do work in a fork that kills itself at a step, and tell whether it died."""
    child = os.fork()
    if child == 0:
        left = step

        def profile(frame: FrameType, event: str, argument: object) -> None:
            nonlocal left
            del event, argument
            if frame.f_code.co_filename in WATCHED:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        code = 1
        try:
            sys.setprofile(profile)
            work()
            sys.setprofile(None)
            code = 0
        finally:
            os._exit(code)  # whatever happens, the child must not go on with the tests of its parent
    status = os.waitpid(child, 0)[1]
    assert status in {0, signal.SIGKILL}
    return status != 0


def check_promise(folder: Path, versions: dict[str, dict[str, bytes]]) -> None:
    """The receipt is absent, or everything that it names is there; and nothing here is taken for somebody else's."""
    there = inspect_target(folder)
    assert not isinstance(there, Foreign | Absent), there
    if (folder / receipt.RECEIPT_PATH).exists():
        assert isinstance(there, Ours)
        assert not there.changed
        assert read_tree(folder) == versions[there.receipt.manifest]
    else:
        assert isinstance(there, Empty | Incomplete)


@pytest.mark.parametrize("what", ["updated", "filled"])
@pytest.mark.filterwarnings("ignore:This process")  # forks with threads: the child only works on its own files
def test_killed_at_any_step_the_receipt_is_absent_or_tells_the_truth_and_the_next_pull_finishes(
    volume: Path, what: str, *, is_deep: bool
) -> None:
    versions = {digest_of("m1"): OLD, digest_of("m2"): NEW}

    def publish_new() -> None:
        with staged(volume, NEW, "m2") as staging:
            publish_target(staging)

    step, deaths = 1, 0
    while step < 20_000:  # bounded: the work has some thousand steps
        sweep_beside(volume)
        if what == "updated":
            publish_target(staged(volume, OLD, "m1"))
        if not in_a_process_that_dies_at(step, publish_new):
            break
        deaths += 1
        check_promise(volume, versions)
        publish_new()
        sweep_beside(volume)
        check_holds(volume, NEW, "m2")
        if what == "filled":
            for entry in volume.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        step += STRIDE if is_deep else STRIDE * 4
    assert deaths > (30 if is_deep else 8)


def test_a_second_pull_after_a_kill_in_the_midst_of_the_change_fetches_nothing(volume: Path) -> None:
    store = MemoryStore()
    old, new = (stock(store, volume.parent / name, contents) for name, contents in (("o", OLD), ("n", NEW)))
    pull(store, old, volume, "m1")

    def die_at_the_third_file() -> None:
        honest, calls = localfiles.OpenFolders.move, iter(range(100))

        def move(*arguments: object) -> None:
            if next(calls) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            honest(*arguments)  # type: ignore[arg-type]

        localfiles.OpenFolders.move = move  # type: ignore[method-assign,assignment]
        pull(store, new, volume, "m2")

    assert in_a_process_that_dies_at(-1, die_at_the_third_file)
    there = inspect_target(volume)
    assert isinstance(there, Incomplete)
    sources = [version_in(volume, {path: OlderFile(sha256) for path, sha256 in there.files.items()})]
    _, fetched = pull_and_count(store, new, volume, "m2", sources=sources)
    assert fetched.fetched_bytes == 0
    check_holds(volume, NEW, "m2")


def test_what_has_no_room_beside_the_old_version_leaves_it_untouched(home: Path) -> None:
    store = MemoryStore()
    contents = [{"weights": bytes([n]) * 600_000} for n in (1, 2)]
    old, new = (stock(store, home.parent / f"{n}", one) for n, one in enumerate(contents))
    with mounted(home / "chat", "size=1m") as volume:
        pull(store, old, volume, "m1")
        with pytest.raises(UnavailableError, match="full"):
            pull(store, new, volume, "m2")
        check_holds(volume, contents[0], "m1")  # and nothing of the new one fills it up


@pytest.mark.parametrize("locks", ["kernel", "names"])
def test_pulls_of_different_versions_into_one_folder_at_once_leave_one_of_them_whole(
    volume: Path, monkeypatch: pytest.MonkeyPatch, locks: str
) -> None:
    if locks == "names":
        monkeypatch.setattr(fcntl, "flock", no_locks)
    together = threading.Barrier(4)
    versions = [{"a": b"%d" % n, f"only-{n}/x": b"%d" % n} for n in range(4)]

    def publish_together(number: int) -> str:
        staging = staged(volume, versions[number], f"m{number}")
        together.wait(10)
        return publish_target(staging)

    done = threading.Event()
    with ThreadPoolExecutor(5) as pool:
        watching = pool.submit(watch, volume, versions, done)
        published = list(pool.map(publish_together, range(4)))
        done.set()
        watching.result()
    assert published.count("appeared") == 1
    assert read_tree(volume) in versions
    assert own_files(volume) == ["receipt.json"]


def watch(folder: Path, versions: list[dict[str, bytes]], done: threading.Event) -> None:
    """Look all the time: whenever the receipt says that a version is complete, it is."""
    while not done.is_set():
        there = inspect_target(folder)
        assert isinstance(there, Empty | Incomplete | Ours)
        if isinstance(there, Ours):
            assert not there.changed
            assert there.receipt.files.keys() in [version.keys() for version in versions]
        time.sleep(0.001)


def no_locks(*_: object) -> None:
    raise OSError(37, "No locks available")


@pytest.mark.parametrize("locks", ["kernel", "names"])
@pytest.mark.filterwarnings("ignore:This process")
def test_a_holder_that_died_keeps_nobody_waiting(volume: Path, monkeypatch: pytest.MonkeyPatch, locks: str) -> None:
    if locks == "names":
        monkeypatch.setattr(fcntl, "flock", no_locks)

    def die_within() -> None:
        with turns.alone_in(volume / ".bucketry", "it", Halt()):
            os.kill(os.getpid(), signal.SIGKILL)

    staging = staged(volume, OLD, "m1")
    assert in_a_process_that_dies_at(-1, die_within)
    started = time.monotonic()
    publish_target(staging)
    assert time.monotonic() - started < 5
    check_holds(volume, OLD, "m1")


def test_two_pulls_of_one_version_into_one_folder_share_their_work(store: Store, tmp_path: Path, volume: Path) -> None:
    files = stock(store, tmp_path / "out", {"large": bytes(range(200)) * (CHUNK_BYTES // 20)})
    with ThreadPoolExecutor(3) as pool:
        published = list(pool.map(lambda _: pull(store, files, volume, connections=2), range(3)))
    assert sorted(published) == ["already_there", "already_there", "appeared"]
    assert own_files(volume) == ["receipt.json"]


def test_a_target_that_only_began_is_given_back_empty(volume: Path) -> None:
    with pytest.raises(RejectedError), prepare_target(volume):
        raise RejectedError("no")
    assert list(volume.iterdir()) == []
    with prepare_target(volume):
        assert inspect_target(volume) == Incomplete({})
