from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from bucketry.store.folder import FolderStore
from bucketry.transfer import leftovers
from bucketry.transfer.leftovers import Owner, sweep_leftovers, write_owner
from bucketry.transfer.target import prepare_target
from transfer.helpers import CONTENTS, read_tree, stock
from transfer.pulls import pull

if TYPE_CHECKING:
    from pathlib import Path

ANY_NAME = re.compile(".*")

SLOW_PULL = """
import sys, time
from pathlib import Path
from transfer.helpers import CONTENTS, hooked, stock
from transfer.pulls import pull
from bucketry.store.folder import FolderStore

root, work, destination = map(Path, sys.argv[1:])
store = hooked(FolderStore(root, durable=False))
files = stock(store, work, CONTENTS)

def slow(method, *arguments, **named):
    print("reading", flush=True)
    time.sleep(0.05)
    return method(*arguments, **named)

store.hooks["open_range"] = slow
pull(store, files, destination, connections=1)
print("done", flush=True)
time.sleep(60)
"""


def leftover(parent: Path, owner: Owner | None) -> Path:
    directory = parent / "leftover"
    directory.mkdir()
    if owner is not None:
        (directory / "owner.json").write_text(json.dumps(asdict(owner)))
    return directory


def owner_now(parent: Path) -> Owner:
    scratch = parent / "scratch"
    scratch.mkdir()
    write_owner(scratch)
    owner = Owner(**json.loads((scratch / "owner.json").read_text()))
    (scratch / "owner.json").unlink()
    scratch.rmdir()
    return owner


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_folder_of_a_living_process_stays_however_old(tmp_path: Path) -> None:
    directory = leftover(tmp_path, owner_now(tmp_path))
    assert sweep_leftovers(tmp_path, ANY_NAME, clock=lambda: time.time() + 10 * 24 * 3600) == ()
    assert directory.exists()


def test_the_folder_of_a_dead_process_goes_at_once(tmp_path: Path) -> None:
    owner = owner_now(tmp_path)
    directory = leftover(tmp_path, Owner(owner.place, dead_pid(), owner.started))
    assert sweep_leftovers(tmp_path, ANY_NAME) == (directory,)
    assert not directory.exists()


def test_a_later_process_with_the_same_number_is_not_the_owner(tmp_path: Path) -> None:
    owner = owner_now(tmp_path)
    directory = leftover(tmp_path, Owner(owner.place, owner.pid, "1"))
    assert sweep_leftovers(tmp_path, ANY_NAME) == (directory,)


@pytest.mark.parametrize("owner", [None, Owner("another host", 1, "")])
def test_a_folder_of_who_knows_whom_goes_after_a_day_without_change(tmp_path: Path, owner: Owner | None) -> None:
    directory = leftover(tmp_path, owner)
    (directory / "deep").mkdir()
    (directory / "deep" / "file").write_bytes(b"")
    day_ago = time.time() - leftovers.OLD_AFTER_SECONDS - 60
    for path in (directory, *directory.rglob("*")):
        if path.name != "file":
            os.utime(path, (day_ago, day_ago))
    assert sweep_leftovers(tmp_path, ANY_NAME) == ()
    os.utime(directory / "deep" / "file", (day_ago, day_ago))
    assert sweep_leftovers(tmp_path, ANY_NAME) == (directory,)


def test_only_folders_whose_name_is_ours_are_swept(tmp_path: Path) -> None:
    owner = Owner(owner_now(tmp_path).place, dead_pid(), "")
    names = [".chat.bucketry-0123456789abcdef", ".chat.bucketry-mine", ".other.bucketry-0123456789abcdef"]
    for name in names:
        leftover(tmp_path, owner).rename(tmp_path / name)
    with prepare_target(tmp_path / "chat"):
        assert not (tmp_path / names[0]).exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(names[1:])


@pytest.mark.parametrize("reads_before_death", [1, 4, 9])
def test_a_pull_killed_at_any_moment_leaves_no_target_and_the_next_one_cleans_up(
    tmp_path: Path, reads_before_death: int
) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "home").mkdir()
    destination = tmp_path / "home" / "chat"
    arguments = [str(tmp_path / "bucket"), str(tmp_path / "out"), str(destination)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_PULL, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for _ in range(reads_before_death):
            assert process.stdout.readline() == "reading\n"
        process.send_signal(signal.SIGKILL)
    assert not destination.exists()
    assert len(list(destination.parent.iterdir())) == 1
    store = FolderStore(tmp_path / "bucket", durable=False)
    pull(store, stock(store, tmp_path / "out", CONTENTS), destination)
    assert read_tree(destination) == CONTENTS
    assert list(destination.parent.iterdir()) == [destination]
