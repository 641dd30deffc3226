"""Does a target hold nothing or a whole version at every moment, whenever its pull is killed?"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bucketry.maintenance.fsck import check_registry
from bucketry.registry.client import open_reader, open_registry
from bucketry.transfer.leftovers import OWNER_NAME
from bucketry.transfer.target import RECEIPT_PATH
from races.moments import count_kills, iter_moments, seconds_taken_by
from races.processes import child
from races.worker import publish_once, pull_once, write_model

if TYPE_CHECKING:
    from races.processes import Child

MODEL = "races/pulled"
MOST_LOOKS = 100
MOST_OBSERVATIONS = 10_000


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "served" / "model"


@pytest.fixture
def versions(where: str, tmp_path: Path) -> dict[int, dict[str, str]]:
    """Publish two versions, and return the SHA-256 of each file of each, by path."""
    digests = {}
    for version in (1, 2):
        source = tmp_path / f"source {version}"
        write_model(source, seed=version)
        with child(publish_once, where, MODEL, source, f"key {version}") as publisher:
            publisher.go()
            assert publisher.result().version == version
        digests[version] = {path.name: sha256_of(path) for path in source.iterdir()}
    return digests


def test_a_target_is_absent_or_whole_whenever_its_pull_is_killed(
    where: str, destination: Path, versions: dict[int, dict[str, str]]
) -> None:
    duration_seconds = seconds_taken_by(pull_once, where, f"{MODEL}:1", destination)
    hits = 0
    for number, moment in enumerate(iter_moments(count_kills(), duration_seconds, seed=2)):
        # In turns: onto nothing, onto the other version, onto the other version.
        if number % 3 == 0:
            shutil.rmtree(destination, ignore_errors=True)
        version = number % 2 + 1
        before = version_at(destination, versions)
        with child(pull_once, where, f"{MODEL}:{version}", destination) as puller:
            hits += watch_and_kill(puller, moment, destination, versions, {before, version})
        assert version_at(destination, versions) in {before, version}
        check_leftovers(destination, most=1)
    assert hits > 0
    check_convergence(where, destination, versions)


def watch_and_kill(
    puller: Child, moment: float, destination: Path, versions: dict[int, dict[str, str]], allowed: set[int | None]
) -> bool:
    """Look at the target again and again while it is pulled, then kill; return whether that ended the pull."""
    kill_at = time.monotonic() + moment
    puller.go()
    for _ in range(MOST_OBSERVATIONS):
        if time.monotonic() >= kill_at:
            break
        assert version_at(destination, versions) in allowed
        time.sleep(max(0.0, min(0.02, kill_at - time.monotonic())))
    return puller.kill()


def check_convergence(where: str, destination: Path, versions: dict[int, dict[str, str]]) -> None:
    """The next run brings what was asked for and sweeps what the dead ones left, also where it is there already."""
    there = version_at(destination, versions)
    for version in (there or 1, 1, 2):
        with open_registry(where, identity="puller@races") as registry:
            assert registry.pull(f"{MODEL}:{version}", destination) == destination
        assert version_at(destination, versions) == version
        check_leftovers(destination, most=0)
    with open_reader(where) as reader:
        assert check_registry(reader.session, deep=True).findings == ()


def check_leftovers(destination: Path, *, most: int) -> None:
    """Each run sweeps what dead ones left before it makes its own, so leftovers never add up.

    Killed before it could say whose it is, a staging folder stays for a day; but nothing was in it yet.
    """
    left = [path for path in destination.parent.iterdir() if path != destination]
    with_bytes = [path for path in left if (path / "tree").exists()]
    assert all((path / OWNER_NAME).stat().st_size > 0 for path in with_bytes)
    assert len(with_bytes) <= most


def version_at(destination: Path, versions: dict[int, dict[str, str]]) -> int | None:
    """Return which version is whole at the target, or None where nothing is; fail for anything in between.

    The target may be replaced while it is read: what was read counts only if the same folder is still there.
    """
    for _ in range(MOST_LOOKS):
        try:
            folder = os.open(destination, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return None
        try:
            found, recorded = read_folder(folder)
            is_still_there = destination.stat().st_ino == os.fstat(folder).st_ino
        except FileNotFoundError:
            if destination.exists() and destination.stat().st_ino == os.fstat(folder).st_ino:
                raise
            continue
        finally:
            os.close(folder)
        if is_still_there:
            assert found == versions[recorded]
            return recorded
    pytest.fail(f"{destination} never stayed the same while it was read")


def read_folder(folder: int) -> tuple[dict[str, str], int]:
    """Return the SHA-256 of each file in an open folder, and the version that its receipt names."""
    inside = Path(f"/proc/self/fd/{folder}")
    recorded = json.loads((inside / RECEIPT_PATH).read_bytes())["version"]
    names = [name for name in os.listdir(folder) if name != Path(RECEIPT_PATH).parts[0]]
    return {name: sha256_of(inside / name) for name in names}, recorded


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
