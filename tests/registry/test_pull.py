"""Does a pull move only what is not on this machine, and leave a target that holds exactly the version?"""

from __future__ import annotations

import signal
import stat
import subprocess
import time
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import UnsupportedError
from bucketry.registry.client import open_registry
from bucketry.registry.local_cache import verify_cached
from bucketry.registry.opening import create_registry
from bucketry.registry.pull import PulledVersion, PullOptions, open_cache, pull
from bucketry.registry.session import Session
from bucketry.schema.names import parse_reference
from bucketry.transfer import hashing
from cli.harness import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.registry.client import Registry

CHUNK_BYTES = 64 * 1024
CHUNKS = 50
MODEL = "acme/chat"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("BUCKETRY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setattr(hashing, "SMALLEST_CHUNK_BYTES", CHUNK_BYTES)
    create_registry(str(tmp_path / "registry"), identity="me@example.org")
    with open_registry(str(tmp_path / "registry"), identity="me@example.org") as opened:
        yield opened


@pytest.fixture
def published(registry: Registry, tmp_path: Path) -> dict[int, dict[str, bytes]]:
    """Publish two versions that share nine tenths of the chunks of one file, and all of another."""
    chance = Random(3)
    shared = chance.randbytes(CHUNK_BYTES * 2)
    weights = chance.randbytes(CHUNK_BYTES * CHUNKS)
    versions: dict[int, dict[str, bytes]] = {}
    for version in (1, 2):
        files = {"weights.bin": weights, "shared.bin": shared, "config.json": b'{"version": %d}' % version}
        folder = tmp_path / f"source-{version}"
        folder.mkdir()
        for name, body in files.items():
            (folder / name).write_bytes(body)
        assert registry.publish(MODEL, [folder]).version == version
        versions[version] = files
        changed = bytearray(weights)
        for index in range(0, CHUNKS, 10):
            changed[index * CHUNK_BYTES] ^= 1
        weights = bytes(changed)
    return versions


def pull_version(registry: Registry, version: int, dest: Path | None = None, **options: Any) -> PulledVersion:
    return pull(registry.session, parse_reference(f"{MODEL}:{version}"), dest, PullOptions(**options))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("verify", ["sha256", "fast"])
@pytest.mark.parametrize("where", ["the target", "the cache"])
def test_a_pull_beside_an_older_version_moves_what_is_new(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path, where: str, verify: str
) -> None:
    dest = tmp_path / "dest"
    pull_version(registry, 1, dest if where == "the target" else None)
    pulled = pull_version(registry, 2, dest, verify=verify)
    assert contents(dest) == published[2]
    assert pulled.fetched_bytes == 5 * CHUNK_BYTES + len(published[2]["config.json"])
    assert pulled.fetched_bytes <= 0.12 * pulled.size_bytes


def test_an_older_version_in_the_cache_spares_the_next_one_in_the_cache(
    registry: Registry, published: dict[int, dict[str, bytes]]
) -> None:
    pull_version(registry, 1)
    pulled = pull_version(registry, 2)
    assert contents(pulled.path) == published[2]
    assert pulled.fetched_bytes == 5 * CHUNK_BYTES + len(published[2]["config.json"])
    assert verify_cached() == ()


def test_an_older_version_whose_manifest_is_gone_gives_its_whole_files(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    dest = tmp_path / "dest"
    pulled = pull_version(registry, 1, dest)
    (manifest,) = (tmp_path / "registry/manifests").rglob(f"{pulled.resolved.digest}.json")
    manifest.unlink()
    with open_registry(str(tmp_path / "registry")) as fresh:
        again = pull_version(fresh, 2, dest)
    assert again.reused_bytes == len(published[2]["shared.bin"])
    assert contents(dest) == published[2]


def test_hard_links_share_files_with_the_cache(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    first = pull_version(registry, 1, tmp_path / "first", hard_link=True)
    second = pull_version(registry, 1, tmp_path / "second", hard_link=True)
    assert (first.fetched_bytes, second.fetched_bytes) == (first.size_bytes, 0)
    for name, body in published[1].items():
        assert (tmp_path / "first" / name).samefile(tmp_path / "second" / name)
        assert (tmp_path / "first" / name).read_bytes() == body
        assert stat.S_IMODE((tmp_path / "first" / name).stat().st_mode) == 0o444
    assert {entry.kind for entry in open_cache().entries()} == {"blob"}


def test_without_being_asked_nothing_is_shared(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    pull_version(registry, 1)
    pulled = pull_version(registry, 1, tmp_path / "dest")
    assert pulled.fetched_bytes == 0
    assert all((tmp_path / "dest" / name).stat().st_nlink == 1 for name in published[1])


@pytest.mark.parametrize("verify", ["sha256", "fast"])
def test_what_enters_the_cache_is_hashed_at_most_once_more(
    registry: Registry, published: dict[int, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch, verify: str
) -> None:
    from bucketry.transfer import cache  # noqa: PLC0415 - the module, whose function is replaced

    hashed: list[Path] = []
    honest = cache.is_right

    def note(path: Path, *rest: Any) -> bool:
        hashed.append(path)
        return honest(path, *rest)

    monkeypatch.setattr(cache, "is_right", note)
    pull_version(registry, 1, verify=verify)
    assert len(hashed) == (0 if verify == "sha256" else len(published[1]))


def test_several_processes_open_the_registry_by_its_profile(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    pulled = pull_version(registry, 1, tmp_path / "dest", processes=2)
    assert contents(tmp_path / "dest") == published[1]
    assert pulled.fetched_bytes == pulled.size_bytes


def test_a_session_that_was_made_by_hand_cannot_be_opened_again(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    assert published
    session = Session(registry.session.store, "me@example.org")
    with pytest.raises(UnsupportedError, match="cannot repeat"):
        pull(session, parse_reference(f"{MODEL}:1"), tmp_path / "dest", PullOptions(processes=2))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_signal_ends_a_pull_within_two_seconds_and_the_next_one_goes_on(
    registry: Registry,
    published: dict[int, dict[str, bytes]],
    tmp_path: Path,
    number: signal.Signals,
    code: int,
    processes: str,
) -> None:
    assert registry
    dest = tmp_path / "home" / "dest"
    command = [*PROGRAM, "-r", str(tmp_path / "registry"), "pull", f"{MODEL}:1", str(dest)]
    with subprocess.Popen([*command, "--limit", "1", "--processes", processes], stderr=subprocess.PIPE) as pulling:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not journaled(dest.parent):
            time.sleep(0.02)
        pulling.send_signal(number)
        sent = time.monotonic()
        assert pulling.wait(10) == code
        assert time.monotonic() - sent < 2
    assert not dest.exists()
    pulled = pull_version(registry, 1, dest)
    assert pulled.reused_bytes > 0
    assert contents(dest) == published[1]
    assert [path.name for path in dest.parent.iterdir()] == ["dest"]


def journaled(parent: Path) -> bool:
    return any(path.stat().st_size > 0 for path in parent.glob(".dest.bucketry-*/journal.*"))
