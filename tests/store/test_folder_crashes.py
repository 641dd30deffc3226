"""What do other processes find when a writer of a folder is killed?"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.store.contract import (
    IfAbsent,
    IfMatch,
    ObjectNotFoundError,
    Unconditional,
)
from bucketry.store.folder.store import FolderStore
from store.folder_register import KEY, check_register, commit_many

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


# Every call by which a store looks at or changes the file system.
CALLS = (
    "close",
    "fstat",
    "ftruncate",
    "link",
    "mkdir",
    "open",
    "pwrite",
    "replace",
    "rmdir",
    "scandir",
    "stat",
    "unlink",
    "utime",
)
MOST_CALLS = 500
FINISHED = 7


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path, durable=False)


def run_and_die_at(store: FolderStore, action: Callable[[FolderStore], object], die_at: int) -> bool:
    """Run `action` in a process that dies before its call number `die_at`; say whether it got to the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        count = 0

        def counting(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **options)

            return call

        try:
            for name in CALLS:
                setattr(os, name, counting(getattr(os, name)))
            action(store)
            os._exit(FINISHED)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == FINISHED
    return True


@pytest.mark.parametrize("states", [1, 2, 16, 17])
@pytest.mark.parametrize("unconditional", [False, True])
def test_a_commit_killed_at_any_call_happened_or_did_not(
    tmp_path: Path,
    states: int,
    unconditional: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    def commit(store: FolderStore) -> None:
        condition = Unconditional() if unconditional else IfMatch(store.stat(KEY).etag)
        store.put(KEY, b"new", condition)

    for die_at in range(1, MOST_CALLS):
        store = FolderStore(tmp_path / str(die_at), durable=False)
        store.create_root()
        commit_many(store, states - 1, store.put(KEY, b"first", IfAbsent()))
        before = store.get(KEY).body
        finished = run_and_die_at(store, commit, die_at)
        check_register(store, {b"new"} if finished else {before, b"new"})
        store.sweep_staging(-60)
        assert list((tmp_path / str(die_at) / ".staging").iterdir()) == []
        if finished:
            assert die_at > 10
            return
    pytest.fail("the commit never came to its end")


def test_a_creation_killed_at_any_call_happened_or_did_not(tmp_path: Path) -> None:
    for die_at in range(1, MOST_CALLS):
        store = FolderStore(tmp_path / str(die_at), durable=False)
        store.create_root()
        finished = run_and_die_at(store, lambda store: store.put(KEY, b"new", IfAbsent()), die_at)
        try:
            assert store.get(KEY).body == b"new"
        except ObjectNotFoundError:
            assert not finished
            store.put(KEY, b"new", IfAbsent())
        check_register(store, {b"new"})
        if finished:
            assert die_at > 5
            return
    pytest.fail("the creation never came to its end")


def test_a_deletion_killed_at_any_call_can_be_repeated(tmp_path: Path) -> None:
    for die_at in range(1, MOST_CALLS):
        store = FolderStore(tmp_path / str(die_at), durable=False)
        store.create_root()
        commit_many(store, 5, store.put(KEY, b"first", IfAbsent()))
        finished = run_and_die_at(store, lambda store: store.delete(KEY), die_at)
        try:
            assert store.get(KEY).body == b"other 4"
        except ObjectNotFoundError:
            assert list(store.list("")) == []
        store.delete(KEY)
        store.put(KEY, b"again", IfAbsent())
        check_register(store, {b"again"})
        if finished:
            assert die_at > 5
            return
    pytest.fail("the deletion never came to its end")


def test_a_completion_killed_at_any_call_can_be_repeated(tmp_path: Path) -> None:
    for die_at in range(1, MOST_CALLS):
        store = FolderStore(tmp_path / str(die_at), durable=False)
        store.create_root()
        upload = store.start_upload(KEY)
        parts = [store.upload_part(KEY, upload, 1, 0, memoryview(b"large"))]
        complete = partial(FolderStore.complete_upload, key=KEY, upload=upload, parts=parts)
        finished = run_and_die_at(store, complete, die_at)
        entries = list(store.list(""))
        try:
            store.complete_upload(KEY, upload, parts)
        except ObjectNotFoundError:
            # The upload is forgotten only after the object has appeared.
            assert entries
        found = store.get(KEY)
        assert found.body == b"large"
        assert not entries or entries == [store.stat(KEY)]
        store.sweep_staging(-60)
        assert list(store.list_uploads("")) == []
        if finished:
            assert die_at > 5
            return
    pytest.fail("the completion never came to its end")


COUNT_FOREVER = """
import json, sys
from bucketry.store.folder.store import FolderStore
from bucketry.store.contract import IfMatch
store, run = FolderStore(sys.argv[1], durable=False), sys.argv[2]
for number in range(1, 1_000_000):
    found = store.get("counter")
    counter = json.loads(found.body)
    counter["total"] += 1
    counter["runs"][run] = number
    store.put("counter", json.dumps(counter).encode(), IfMatch(found.etag))
    print(number, flush=True)
"""

APPEND_TOKENS = """
import sys
from bucketry.store.folder.store import FolderStore
from store.contract import append_token
for number in range(int(sys.argv[3])):
    append_token(FolderStore(sys.argv[1], durable=False), "tokens", f"{sys.argv[2]}.{number}")
"""


def start_python(program: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_forty_kills_lose_no_acknowledged_increment(store: FolderStore, tmp_path: Path) -> None:
    chance = random.Random(2)
    store.put("counter", b'{"total": 0, "runs": {}}', IfAbsent())
    acknowledged = {}
    for run in range(40):
        with start_python(COUNT_FOREVER, str(tmp_path), str(run)) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            time.sleep(chance.uniform(0, 0.02))
            process.kill()
            lines = [first, *process.stdout.read().splitlines()]
        assert process.returncode == -signal.SIGKILL
        acknowledged[str(run)] = int(lines[-1])
    counter = json.loads(store.get("counter").body)
    assert counter["runs"].keys() == acknowledged.keys()
    for run_name, number in acknowledged.items():
        # The last commit may have happened without its acknowledgement.
        assert counter["runs"][run_name] in (number, number + 1)
    assert counter["total"] == sum(counter["runs"].values())
    store.sweep_staging(-60)
    assert list((tmp_path / ".staging").iterdir()) == []


def test_eight_processes_lose_no_token_and_write_none_twice(store: FolderStore, tmp_path: Path) -> None:
    store.put("tokens", b"", IfAbsent())
    processes = [start_python(APPEND_TOKENS, str(tmp_path), str(worker), "50") for worker in range(8)]
    for process in processes:
        process.communicate(timeout=120)
    assert [process.returncode for process in processes] == [0] * 8
    tokens = store.get("tokens").body.decode().split()
    assert sorted(tokens) == sorted(f"{worker}.{number}" for worker in range(8) for number in range(50))
