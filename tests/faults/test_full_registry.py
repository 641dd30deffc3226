"""Does a registry in a folder say at once that its disk is full, with nothing changed, and go on when it is not?"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.client import Registry
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.store.contract import StoreFullError
from bucketry.store.folder.store import FolderStore
from bucketry.store.retry import RetryingStore
from faults.file_systems import mounted
from registry.opened import CHAT, open_in, publish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK_BYTES = 4096
MOST_FILLERS = 4096
MOST_NAMES_OF_A_MOVE = 12


class SmallDisk:
    """A registry on a disk of its own, which can be filled; nobody who waits there sleeps."""

    def __init__(self, folder: Path, opened: Registry) -> None:
        self.folder = folder
        self.slept: list[float] = []
        clock = replace(opened.session.clock, sleep=self.slept.append)
        store = RetryingStore(FolderStore(folder), clock=clock)
        self.registry = Registry(replace(opened.session, store=store, clock=clock))

    def fill(self) -> None:
        """Leave not one block."""
        with (self.folder / ".filler").open("wb", buffering=0) as file:
            try:
                for _ in range(MOST_FILLERS):
                    file.write(bytes(BLOCK_BYTES))
            except OSError:
                return
        raise AssertionError("the disk is larger than this test expects")

    def fill_names(self, left: int) -> None:
        """Leave so many names for files; a hard link needs one, too."""
        for number in range(os.statvfs(self.folder).f_ffree - left):
            (self.folder / f".filler-{number}").touch()

    def empty(self) -> None:
        """Give back what was filled."""
        for path in self.folder.glob(".filler*"):
            path.unlink()

    def current(self) -> tuple[int, int | None]:
        resolved = self.registry.resolve(f"{CHAT}@production")
        return resolved.version, resolved.generation

    def check(self) -> None:
        """Fail unless the registry is whole, and nobody waited."""
        report = check_registry(self.registry.session)
        assert [finding for finding in report.findings if finding not in report.garbage] == []
        assert self.slept == []


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    with mounted(tmp_path / "registry", "size=2m,nr_inodes=400"), open_in(tmp_path, monkeypatch) as opened:
        for number in (1, 2):
            publish(opened, tmp_path, CHAT, {"weights.bin": b"weights %d" % number})
        opened.promote(f"{CHAT}:1", "production")
        yield SmallDisk(tmp_path / "registry", opened)


def test_a_move_on_a_full_disk_is_refused_at_once_and_made_when_there_is_room(disk: SmallDisk) -> None:
    before = disk.current()
    disk.fill()
    with pytest.raises(StoreFullError, match="disk is full") as caught:
        disk.registry.promote(f"{CHAT}:2", "production")
    assert (caught.value.exit_code, caught.value.advice) == (6, "free some space, and try again")
    assert disk.current() == before
    disk.check()
    disk.empty()
    disk.registry.promote(f"{CHAT}:2", "production")
    assert disk.current()[0] == 2
    disk.check()


def test_a_publish_to_a_full_disk_is_refused_at_once_and_done_when_there_is_room(
    disk: SmallDisk, tmp_path: Path
) -> None:
    disk.fill()
    with pytest.raises(StoreFullError, match="disk is full"):
        publish(disk.registry, tmp_path, CHAT, {"weights.bin": b"weights 3"})
    disk.check()
    disk.empty()
    assert publish(disk.registry, tmp_path, CHAT, {"weights.bin": b"weights 3"}).version == 3
    disk.check()


def test_a_disk_without_room_for_another_name_refuses_or_does_a_move_whichever_name_is_missing(
    disk: SmallDisk,
) -> None:
    outcomes = set()
    for left in range(MOST_NAMES_OF_A_MOVE):
        version, generation = disk.current()
        other = 3 - version
        disk.fill_names(left)
        try:
            disk.registry.promote(f"{CHAT}:{other}", "production")
        except StoreFullError:
            outcomes.add("refused")
            assert disk.current() == (version, generation)
        else:
            outcomes.add("moved")
            assert disk.current()[0] == other
        disk.empty()
        disk.check()
    assert outcomes == {"refused", "moved"}
