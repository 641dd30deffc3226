"""Is what was verified before a failure not fetched again, and never believed?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import CorruptError, RejectedError, UnavailableError
from bucketry.store.contract import Unconditional
from bucketry.store.folder.store import FolderStore
from bucketry.store.memory import MemoryStore
from bucketry.transfer.disk.leftovers import find_workplaces, is_nobodys
from bucketry.transfer.disk.target import prepare_target
from bucketry.transfer.down.journal import Journal, JournalReader, read_journals
from bucketry.transfer.down.remote import plan_of
from bucketry.transfer.pace.workers import Interrupted
from transfer.helpers import CHUNK_BYTES, CONTENTS, HASTY, IMPATIENT, hooked, read_tree, stock
from transfer.pulls import pull, pull_and_count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.transfer.disk.leftovers import Workplace
    from bucketry.transfer.down.remote import RemoteFile

CHUNKS = 30
LARGE = {"large.bin": b"".join(bytes([n]) * CHUNK_BYTES for n in range(CHUNKS)), "small.bin": b"small"}
SIZE_BYTES = sum(map(len, LARGE.values()))

DYING_PULL = """
import os, signal, sys, threading
from contextlib import contextmanager
from pathlib import Path
from bucketry.store.folder.store import FolderStore
from transfer.helpers import hooked, stock
from transfer.pulls import pull
from transfer.test_resume import LARGE

root, work, destination, die_at = sys.argv[1:]
store = hooked(FolderStore(Path(root), durable=False))
files = stock(store, Path(work), LARGE)
lock, opened = threading.Lock(), []

@contextmanager
def die(method, *arguments, **named):
    with lock:
        opened.append(1)
        if len(opened) > int(die_at):
            os.kill(os.getpid(), signal.SIGKILL)
    with method(*arguments, **named) as stream:
        yield stream

store.hooks["open_range"] = die
pull(store, files, Path(destination), connections=4)
"""


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "chat"


def run_dying_pull(tmp_path: Path, destination: Path, die_at: int) -> FolderStore:
    (tmp_path / "bucket").mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    arguments = [str(tmp_path / "bucket"), str(tmp_path / "out"), str(destination), str(die_at)]
    died = subprocess.run([sys.executable, "-c", DYING_PULL, *arguments], env=environment, check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    return FolderStore(tmp_path / "bucket", durable=False)


def leftover(destination: Path) -> Workplace:
    (found,) = find_workplaces(destination.parent, destination.name)
    return found


def stop_after(store: Any, opened: int, error: Callable[[], BaseException]) -> None:
    """Let the store serve so many ranges, and then fail."""
    lock, left = threading.Lock(), [opened]

    def serve(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        with lock:
            left[0] -= 1
            if left[0] < 0:
                raise error()
        return method(*arguments, **named)

    store.hooks["open_range"] = serve


def fail_after(store: Any, files: Sequence[RemoteFile], destination: Path, opened: int = 10) -> None:
    stop_after(store, opened, lambda: UnavailableError("the network is away"))
    with pytest.raises(UnavailableError, match="away"):
        pull(store, files, destination, connections=1, **IMPATIENT)
    store.hooks.clear()


@pytest.mark.parametrize("die_at", [1, 10, 25])
def test_after_a_kill_at_most_one_chunk_for_each_connection_is_fetched_again(
    tmp_path: Path, destination: Path, die_at: int
) -> None:
    store = run_dying_pull(tmp_path, destination, die_at)
    assert is_nobodys(leftover(destination))
    _, fetched = pull_and_count(store, stock(store, tmp_path / "out", LARGE), destination)
    assert read_tree(destination) == LARGE
    assert fetched.fetched_bytes <= SIZE_BYTES - (die_at - 4) * CHUNK_BYTES
    assert fetched.fetched_bytes + fetched.reused_bytes == SIZE_BYTES
    assert list(destination.parent.iterdir()) == [destination]


def test_killed_again_and_again_it_comes_to_an_end(tmp_path: Path, destination: Path) -> None:
    fetched_bytes = 0
    for _ in range(3):
        store = run_dying_pull(tmp_path, destination, 8)
        assert len(find_workplaces(destination.parent)) == 1
        fetched_bytes += 8 * CHUNK_BYTES
    _, fetched = pull_and_count(store, stock(store, tmp_path / "out", LARGE), destination)
    assert read_tree(destination) == LARGE
    assert fetched_bytes + fetched.fetched_bytes <= SIZE_BYTES + 3 * 4 * CHUNK_BYTES


@pytest.mark.parametrize("verify", ["sha256", "fast"])
def test_bytes_that_a_journal_names_are_not_believed(tmp_path: Path, destination: Path, verify: str) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", LARGE)
    fail_after(store, files, destination)
    place = leftover(destination).path
    named = sorted(read_journals(place))
    assert len(named) in {10, 11}
    with (place / "tree/large.bin").open("r+b") as file:
        file.seek(named[2][1] * CHUNK_BYTES + 5)
        file.write(b"?")
    _, fetched = pull_and_count(store, files, destination, verify=verify)
    assert read_tree(destination) == LARGE
    assert (
        fetched.reused_bytes
        == sum(len(LARGE["small.bin"]) if number == 1 else CHUNK_BYTES for number, _ in named) - CHUNK_BYTES
    )


def test_a_journal_that_lies_or_is_torn_costs_nothing_but_time(tmp_path: Path, destination: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", LARGE)
    fail_after(store, files, destination)
    place = leftover(destination).path
    with (place / "journal.0").open("ab") as file:
        file.write(b"0 29\n0 28\n999999 1\n0 31\n-1 -1\n\xff\xfe\n1 0 0\n0 2")
    pull(store, files, destination)
    assert read_tree(destination) == LARGE


def test_nothing_that_came_otherwise_into_the_folder_reaches_the_target(tmp_path: Path, destination: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", LARGE)
    fail_after(store, files, destination)
    tree = leftover(destination).path / "tree"
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tree / "extra.py").write_bytes(b"evil")
    (tree / "folder/below").mkdir(parents=True)
    (tree / "link").symlink_to(tmp_path)
    (tree / "small.bin").unlink(missing_ok=True)
    (tree / "small.bin").symlink_to(tmp_path / "elsewhere")
    pull(store, files, destination)
    assert read_tree(destination) == LARGE
    assert {path.name for path in destination.iterdir()} == {*LARGE, ".bucketry"}
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"


def test_a_file_that_has_a_second_name_is_not_written_to(tmp_path: Path, destination: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", LARGE)
    fail_after(store, files, destination)
    shared = tmp_path / "shared"
    os.link(leftover(destination).path / "tree/large.bin", shared)
    before = shared.read_bytes()
    pull(store, files, destination)
    assert read_tree(destination) == LARGE
    assert shared.read_bytes() == before
    assert not shared.samefile(destination / "large.bin")


def test_a_file_of_another_size_is_made_anew(tmp_path: Path, destination: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", LARGE)
    fail_after(store, files, destination)
    os.truncate(leftover(destination).path / "tree/large.bin", 100 * CHUNK_BYTES)
    pull(store, files, destination)
    assert read_tree(destination) == LARGE


def test_work_on_another_version_is_not_taken_over_but_removed(tmp_path: Path, destination: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", LARGE)
    fail_after(store, files, destination)
    _, fetched = pull_and_count(store, files, destination, "m2")
    assert fetched.reused_bytes == 0
    assert list(destination.parent.iterdir()) == [destination]


def test_work_on_other_files_of_the_version_is_not_taken_over(tmp_path: Path, destination: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", LARGE)
    fail_after(store, files, destination)
    _, fetched = pull_and_count(store, files[:1], destination)
    assert fetched.reused_bytes == 0
    assert read_tree(destination) == {"large.bin": LARGE["large.bin"]}


def test_a_stopped_pull_can_be_resumed_by_the_same_process(tmp_path: Path, destination: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", LARGE)
    stop = threading.Event()

    def stop_now() -> BaseException:
        stop.set()
        return UnavailableError("away")

    stop_after(store, 10, stop_now)
    with pytest.raises(Interrupted):
        pull(store, files, destination, connections=1, stop=stop, **HASTY)
    store.hooks.clear()
    _, fetched = pull_and_count(store, files, destination)
    assert fetched.fetched_bytes <= SIZE_BYTES - 9 * CHUNK_BYTES
    assert read_tree(destination) == LARGE


def test_a_pull_that_is_forbidden_leaves_nothing(tmp_path: Path, destination: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", LARGE)
    stop_after(store, 10, lambda: RejectedError("no"))
    with pytest.raises(RejectedError):
        pull(store, files, destination, connections=1)
    assert list(destination.parent.iterdir()) == []


def test_a_corrupt_object_can_be_mended_and_the_rest_is_not_fetched_again(tmp_path: Path, destination: Path) -> None:
    store = MemoryStore()
    files = stock(store, tmp_path / "out", LARGE)
    wrong = bytearray(LARGE["large.bin"])
    wrong[-1] ^= 1
    store.put(files[0].key, bytes(wrong), Unconditional())
    with pytest.raises(CorruptError, match="chunk 30 of 30"):
        pull(store, files, destination, connections=1)
    store.put(files[0].key, LARGE["large.bin"], Unconditional())
    _, fetched = pull_and_count(store, files, destination)
    assert fetched.fetched_bytes <= 2 * CHUNK_BYTES
    assert read_tree(destination) == LARGE


def test_two_processes_that_find_the_same_leftover_share_nothing_but_its_target(
    tmp_path: Path, destination: Path
) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", LARGE)
    fail_after(store, files, destination)
    plan = plan_of(destination.name, "m1", files)
    stagings = [prepare_target(destination, plan) for _ in range(2)]
    assert [staging.resumed for staging in stagings] == [True, False]
    assert stagings[0].outer != stagings[1].outer


def test_a_reader_sees_lines_as_they_are_completed(tmp_path: Path) -> None:
    journals = [Journal(tmp_path, part=part) for part in range(2)]
    reader = JournalReader(tmp_path)
    reader.refresh()
    assert reader.chunks == set()
    journals[0].add((0, 7))
    reader.refresh()
    assert reader.chunks == {(0, 7)}
    with (tmp_path / "journal.0").open("ab") as file:
        file.write(b"0 12")
        file.flush()
        reader.refresh()
        assert reader.chunks == {(0, 7)}
        file.write(b"3\n")
    journals[1].add((3, 4))
    reader.refresh()
    assert reader.chunks == {(0, 7), (0, 123), (3, 4)}
    for journal in journals:
        journal.close()
    assert read_journals(tmp_path) == reader.chunks
    assert read_journals(tmp_path / "absent") == set()


def test_a_line_after_a_torn_one_is_a_line_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "journal.0").write_bytes(b"0 1\n0 12")
    journal = Journal(tmp_path)
    journal.add((3, 4))
    journal.close()
    assert {(0, 1), (3, 4)} <= read_journals(tmp_path)


def test_a_journal_that_is_no_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "journal.0").symlink_to("/etc/passwd")
    assert read_journals(tmp_path) == set()
    (tmp_path / "journal.0").unlink()
    os.mkfifo(tmp_path / "journal.0")
    assert read_journals(tmp_path) == set()


def test_no_descriptor_is_left_open_after_a_failure(tmp_path: Path, destination: Path) -> None:
    store = hooked(MemoryStore())
    files = stock(store, tmp_path / "out", LARGE | CONTENTS)
    before = len(list(Path("/proc/self/fd").iterdir()))
    fail_after(store, files, destination)
    pull(store, files, destination)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
