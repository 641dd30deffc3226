"""Does a half-filled folder have exactly one owner at any time, and go when nobody will come back for it?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from bucketry.store.folder.store import FolderStore
from bucketry.transfer.disk import leftovers
from bucketry.transfer.disk.leftovers import (
    NO_PLAN,
    Owner,
    Workplace,
    find_workplaces,
    give_up,
    is_nobodys,
    name_workplace,
    sweep_workplaces,
    take_over,
    this_owner,
)
from bucketry.transfer.disk.target import prepare_target
from transfer.helpers import CONTENTS, read_tree, stock
from transfer.pulls import pull

if TYPE_CHECKING:
    from pathlib import Path

PLAN = "0123456789abcdef"

SLOW_PULL = """
import sys, time
from pathlib import Path
from transfer.helpers import CONTENTS, hooked, stock
from transfer.pulls import pull
from bucketry.store.folder.store import FolderStore

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


def workplace(parent: Path, owner: Owner, plan: str = PLAN) -> Workplace:
    path = parent / name_workplace("chat", plan, owner)
    (path / "tree").mkdir(parents=True)
    (path / "tree" / "file").write_bytes(b"bytes")
    return Workplace(path, "chat", plan, owner)


def dead_owner() -> Owner:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Owner(this_owner().place, process.pid, this_owner().started)


def grow_old(folder: Path, *, but: str = "") -> None:
    day_ago = time.time() - leftovers.OLD_AFTER_SECONDS - 60
    for path in (folder, *folder.rglob("*")):
        if path.name != but:
            os.utime(path, (day_ago, day_ago))


@pytest.mark.parametrize("target", ["chat", "x" * 255, "é" * 127, "a.bucketry-b", "new\nline"])
def test_a_name_says_whose_and_what_for_it_is(tmp_path: Path, target: str) -> None:
    path = tmp_path / name_workplace(target, PLAN, this_owner())
    path.mkdir()
    (found,) = find_workplaces(tmp_path, target)
    assert (found.path, found.plan, found.owner) == (path, PLAN, this_owner())
    assert find_workplaces(tmp_path, target + "!") in {(), (found,)}  # long names are shortened
    assert find_workplaces(tmp_path) == (found,)


def test_the_folder_of_a_living_process_stays_however_old(tmp_path: Path) -> None:
    place = workplace(tmp_path, this_owner())
    assert not is_nobodys(place)
    assert sweep_workplaces(tmp_path, clock=lambda: time.time() + 10 * 24 * 3600) == ()
    assert place.path.exists()


def test_the_folder_of_a_dead_process_goes_at_once(tmp_path: Path) -> None:
    place = workplace(tmp_path, dead_owner())
    assert is_nobodys(place)
    assert sweep_workplaces(tmp_path, "chat") == (place.path,)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="only Linux tells")  # noqa: PTH110 - at import
def test_a_dead_process_whose_death_nobody_has_noticed_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        owner = Owner(this_owner().place, process.pid, leftovers._start_of(process.pid))  # noqa: SLF001
        place = workplace(tmp_path, owner)
        assert not is_nobodys(place)
        process.kill()
        for _ in range(200):
            if is_nobodys(place):
                break
            time.sleep(0.02)
        assert is_nobodys(place)  # though nobody has waited for it yet


def test_a_later_process_with_the_same_number_is_not_the_owner(tmp_path: Path) -> None:
    owner = this_owner()
    place = workplace(tmp_path, Owner(owner.place, owner.pid, owner.started - 1))
    assert sweep_workplaces(tmp_path) == (place.path,)


def test_a_folder_of_another_machine_goes_after_a_day_without_change(tmp_path: Path) -> None:
    place = workplace(tmp_path, Owner("0123456789ab", 1, 1))
    assert not is_nobodys(place)
    grow_old(place.path, but="file")
    assert sweep_workplaces(tmp_path) == ()
    grow_old(place.path)
    assert sweep_workplaces(tmp_path) == (place.path,)


def test_work_on_the_same_plan_stays_for_a_day(tmp_path: Path) -> None:
    same, other = workplace(tmp_path, dead_owner()), workplace(tmp_path, dead_owner(), NO_PLAN)
    assert sweep_workplaces(tmp_path, but_plan=PLAN) == (other.path,)
    grow_old(same.path)
    assert sweep_workplaces(tmp_path, but_plan=PLAN) == (same.path,)


def test_exactly_one_of_many_takes_a_folder_over(tmp_path: Path) -> None:
    for _ in range(20):
        place = workplace(tmp_path, dead_owner())
        with ThreadPoolExecutor(8) as pool:
            taken = [path for path in pool.map(take_over, [place] * 8) if path is not None]
        assert len(taken) == 1
        assert (taken[0] / "tree" / "file").read_bytes() == b"bytes"
        (found,) = find_workplaces(tmp_path)
        assert (found.path, found.owner, found.plan) == (taken[0], this_owner(), PLAN)
        assert not is_nobodys(found)
        give_up(found)
        sweep_workplaces(tmp_path)


def test_what_is_given_up_is_anybodys(tmp_path: Path) -> None:
    give_up(workplace(tmp_path, this_owner()))
    (found,) = find_workplaces(tmp_path)
    assert is_nobodys(found)
    assert is_nobodys(Workplace(found.path, found.target, found.plan, Owner("another host", 0, 0)))
    assert take_over(found) is not None


def test_a_folder_of_another_user_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = workplace(tmp_path, dead_owner())
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert take_over(place) is None
    assert place.path.exists()


def test_a_link_under_such_a_name_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / name_workplace("chat", PLAN, dead_owner())).symlink_to(tmp_path / "mine")
    assert find_workplaces(tmp_path) == ()


def test_only_folders_whose_name_is_ours_are_swept(tmp_path: Path) -> None:
    names = [".chat.bucketry-mine", ".chat.bucketry-0123456789abcdef"]
    for name in names:
        (tmp_path / name).mkdir()
    other = tmp_path / name_workplace("other", PLAN, dead_owner())
    other.mkdir()
    dead = workplace(tmp_path, dead_owner())
    with prepare_target(tmp_path / "chat"):
        assert not dead.path.exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([*names, other.name])


@pytest.mark.parametrize("reads_before_death", [1, 4, 9])
def test_a_pull_killed_at_any_moment_leaves_no_target_and_the_next_one_goes_on(
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
