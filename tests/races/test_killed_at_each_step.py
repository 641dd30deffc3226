"""Is there any step at which a killed publish or pull leaves something that must not be?"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_registry
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.opening import create_registry
from races.dying import publish_and_die_at, pull_and_die_at
from races.processes import child
from races.targets import check_leftovers, sha256_of, version_at
from races.worker import publish_once, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.client import Registry

MODEL = "races/stepped"
MOST_STEPS = 2_000
FEWEST_STEPS_OF_A_PUBLISH = 16  # before and after 3 parts, what begins and ends them, 2 blobs or more, manifest, head
FEWEST_STEPS_OF_A_PULL = 100


def test_a_publish_killed_beside_any_write_becomes_exactly_one_version(
    where: str, tmp_path: Path, *, is_deep: bool
) -> None:
    source = tmp_path / "source"
    with open_registry(where, identity="publisher@races") as registry:
        for version, step in enumerate(range(1, MOST_STEPS, 1 if is_deep else 3), start=1):
            write_model(source, seed=step)
            with child(publish_and_die_at, where, MODEL, source, f"key {step}", step) as publisher:
                publisher.go()
                has_died = publisher.has_died()
            assert check_registry(registry.session).damage == ()
            published = publish_once(where, MODEL, source, f"key {step}")
            assert published.version == version
            assert published.created or step >= FEWEST_STEPS_OF_A_PUBLISH
            shutil.rmtree(source)
            if not has_died:
                assert step > FEWEST_STEPS_OF_A_PUBLISH
                report = check_registry(registry.session, deep=True)
                assert (report.versions, report.damage) == (version, ())
                return
    pytest.fail("the publish never came to its end")


@pytest.mark.parametrize("onto", ["nothing", "another version"])
def test_a_pull_killed_at_any_step_leaves_its_target_absent_or_whole(
    onto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_deep: bool
) -> None:
    monkeypatch.setenv("BUCKETRY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    where, destination = str(tmp_path / "registry"), tmp_path / "served" / "model"
    create_registry(where, identity="owner@races")
    with open_registry(where, identity="owner@races") as registry:
        versions = publish_two_small_versions(registry, tmp_path)
        for step in range(1, MOST_STEPS, 1 if is_deep else 7):
            if onto == "nothing":
                shutil.rmtree(destination, ignore_errors=True)
            before = version_at(destination, versions)
            wanted = step % 2 + 1
            with child(pull_and_die_at, where, f"{MODEL}:{wanted}", destination, step) as puller:
                puller.go()
                has_died = puller.has_died()
            assert version_at(destination, versions) in {before, wanted}
            check_leftovers(destination, most=1)
            registry.pull(f"{MODEL}:{wanted}", destination)
            assert version_at(destination, versions) == wanted
            assert list(destination.parent.iterdir()) == [destination]
            if not has_died:
                assert step > FEWEST_STEPS_OF_A_PULL
                return
    pytest.fail("the pull never came to its end")


def publish_two_small_versions(registry: Registry, tmp_path: Path) -> dict[int, dict[str, str]]:
    """Publish, and return the SHA-256 of each file of each version, by path."""
    digests: dict[int, dict[str, str]] = {}
    for version in (1, 2):
        source = tmp_path / f"source {version}"
        source.mkdir()
        (source / "shared.bin").write_bytes(b"shared")
        (source / "weights.bin").write_bytes(f"weights of {version}".encode())
        assert registry.publish(MODEL, [source]).version == version
        digests[version] = {path.name: sha256_of(path) for path in source.iterdir()}
    return digests
