"""Under a umask that forbids nothing, nothing that is made may be written by everybody."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from bucketry.index.refresh import refresh_index
from bucketry.index.store import open_index
from bucketry.registry.core.opening import create_registry
from bucketry.registry.core.user_state import save_user_document
from bucketry.store.modes import SHARED_FOLDER_MODE, folder_mode_below, make_folders
from registry import opened
from registry.opened import CHAT, open_in, publish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def modes(root: Path) -> dict[str, int]:
    """Return the modes of everything below a folder, and its own."""
    return {str(path.relative_to(root)): stat.S_IMODE(path.lstat().st_mode) for path in (root, *root.rglob("*"))}


def wide(root: Path, bits: int) -> dict[str, str]:
    return {name: oct(mode) for name, mode in modes(root).items() if mode & bits}


@pytest.fixture(params=[0o000, 0o002, 0o022, 0o077], ids=["000", "002", "022", "077"], autouse=True)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture(autouse=True)
def created(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have registries made by the program, whose work the modes of their files are."""
    monkeypatch.setattr(opened, "make_registry", lambda folder: create_registry(str(folder), identity=opened.ADA))


def test_nothing_that_is_made_may_be_written_by_everybody(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKETRY_STATE", str(tmp_path / "far" / "state"))
    home = tmp_path / "home"
    home.mkdir(0o700)
    registry = open_in(home, monkeypatch)
    source = {"model.bin": b"x" * 100, "inner.bin": b"y"}
    publish(registry, home, CHAT, source)
    registry.promote(f"{CHAT}:1", "production")
    registry.pull(f"{CHAT}:1", tmp_path / "served" / "deep" / "chat")
    registry.pull(f"{CHAT}:1")  # into the cache
    mounted = tmp_path / "mounted"
    mounted.mkdir(0o755)
    registry.pull(f"{CHAT}:1", mounted)
    save_user_document("seen", {"a": 1})
    with open_index(registry.session) as index:
        refresh_index(index, registry.session)
    for made in ("home/registry", "home/cache", "served", "far", "mounted"):
        assert wide(tmp_path / made, stat.S_IWOTH) == {}
    assert wide(tmp_path / "served", stat.S_IWGRP) == {} or umask == 0o002
    assert wide(tmp_path / "far", 0o077) == {}


def test_a_target_is_as_writable_for_the_group_as_the_folder_that_it_lies_in() -> None:
    assert folder_mode_below(0o777) == 0o775
    assert folder_mode_below(0o2775) == 0o775
    assert folder_mode_below(0o755) == 0o755
    assert folder_mode_below(0o700) == 0o755  # and nobody gets there


def test_folders_above_have_the_mode_too(tmp_path: Path, umask: int) -> None:
    make_folders(tmp_path / "a" / "b" / "c", SHARED_FOLDER_MODE)
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b", "a/b/c")} == {0o775 & ~umask}
    make_folders(tmp_path / "a" / "b" / "c")  # it is there
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        make_folders(tmp_path / "file" / "below")
