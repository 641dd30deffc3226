"""Does a target hold nothing or a whole version at every moment, whenever its pull is killed?"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_reader, open_registry
from bucketry.maintenance.fsck.registry import check_registry
from races.moments import count_kills, iter_moments, seconds_taken_by
from races.processes import child
from races.targets import check_leftovers, sha256_of, version_at
from races.worker import publish_once, pull_once, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from races.processes import Child

MODEL = "races/pulled"
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
    where: str, destination: Path, versions: dict[int, dict[str, str]], *, is_deep: bool
) -> None:
    duration_seconds = seconds_taken_by(pull_once, where, f"{MODEL}:1", destination)
    hits = 0
    for number, moment in enumerate(iter_moments(count_kills(is_deep=is_deep), duration_seconds, seed=2)):
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
