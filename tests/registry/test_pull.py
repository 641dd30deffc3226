"""Does a pull move only what is not on this machine, and leave a target that holds exactly the version?"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.client import open_registry
from bucketry.errors import DeniedError, RejectedError, UnavailableError, UnsupportedError
from bucketry.registry.core.session import Session
from bucketry.registry.reading.local_cache import verify_cached
from bucketry.registry.reading.pull import PulledVersion, PullOptions, open_cache, pull
from bucketry.schema.names import parse_reference
from bucketry.transfer.disk import hashing
from bucketry.transfer.disk.local_files import OpenFolders
from bucketry.transfer.disk.receipt import Incomplete, inspect_target
from bucketry.transfer.pace import turns
from cli.harness import PROGRAM
from faults.file_systems import mounted
from registry.opened import make_registry
from transfer.mounts import as_nobody, irreplaceable, let_others_enter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.client import Registry

CHUNK_BYTES = 64 * 1024
CHUNKS = 50
MODEL = "acme/chat"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("BUCKETRY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setattr(hashing, "SMALLEST_CHUNK_BYTES", CHUNK_BYTES)
    make_registry(tmp_path / "registry", "me@example.org")
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


def test_a_model_without_a_namespace_is_spared_too(registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    body = Random(3).randbytes(CHUNK_BYTES * 4)
    for version in (1, 2):
        (folder / "weights.bin").write_bytes(body[version:])
        registry.publish("chat", [folder])
    for version, dest in ((1, None), (2, tmp_path / "dest")):
        pulled = pull(registry.session, parse_reference(f"chat:{version}"), dest)
        assert contents(pulled.path)["weights.bin"] == body[version:]


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


def edit_in_place(path: Path, offset: int = 0, *, keep_time: bool = False) -> None:
    """Change a byte of a file that keeps its size, with a time that differs from the one before, if not kept."""
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))
    changed_at_ns = before.st_mtime_ns + (0 if keep_time else 1_000_000)
    os.utime(path, ns=(before.st_atime_ns, changed_at_ns))


@pytest.mark.parametrize("harm", ["edited", "cut", "removed"])
@pytest.mark.parametrize("where", ["a target", "the cache"])
def test_a_changed_version_is_mended_by_fetching_what_is_wrong(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path, where: str, harm: str
) -> None:
    dest = tmp_path / "dest" if where == "a target" else None
    there = pull_version(registry, 1, dest).path
    weights = there / "weights.bin"
    if harm == "edited":
        edit_in_place(weights, 7 * CHUNK_BYTES)
    elif harm == "cut":
        weights.chmod(0o644)
        os.truncate(weights, (CHUNKS - 3) * CHUNK_BYTES)
    else:
        weights.unlink()
    mended = pull_version(registry, 1, dest)
    assert contents(there) == published[1]
    # A file that is only missing in the cache's version is still there as a blob; a cut one was the blob's own bytes.
    chunks = {"edited": 1, "cut": 3, "removed": CHUNKS if where == "a target" else 0}[harm]
    assert (mended.fetched_bytes, mended.verify) == (chunks * CHUNK_BYTES, "sha256")
    again = pull_version(registry, 1, dest)
    assert (again.fetched_bytes, again.verify) == (0, "sizes_and_times" if dest else "sha256")
    assert verify_cached() == ()


def test_mending_one_file_leaves_the_others_where_they_are(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    dest = tmp_path / "dest"
    pull_version(registry, 1, dest)
    inodes = {name: (dest / name).stat().st_ino for name in published[1]}
    (dest / "config.json").unlink()
    (dest / "shared.bin").touch()
    mended = pull_version(registry, 1, dest)
    assert mended.fetched_bytes == len(published[1]["config.json"])
    assert contents(dest) == published[1]
    assert all((dest / name).stat().st_ino == inodes[name] for name in ("weights.bin", "shared.bin"))
    assert all((dest / name).stat().st_nlink == 1 for name in published[1])


def test_what_lies_in_the_cache_is_hashed_again_before_it_is_handed_out(
    registry: Registry, published: dict[int, dict[str, bytes]]
) -> None:
    there = pull_version(registry, 1).path
    edit_in_place(there / "weights.bin", 7 * CHUNK_BYTES, keep_time=True)
    mended = pull_version(registry, 1)
    assert (mended.verify, mended.fetched_bytes) == ("sha256", CHUNK_BYTES)
    assert contents(there) == published[1]
    again = pull_version(registry, 1)
    assert (again.verify, again.fetched_bytes) == ("sha256", 0)


def test_a_cache_that_everybody_may_write_is_refused_and_a_folder_of_ones_own_within_it_is_not(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "mounted"
    root.mkdir()
    root.chmod(0o777)
    monkeypatch.setenv("BUCKETRY_CACHE", str(root))
    with pytest.raises(DeniedError, match="everybody may write") as caught:
        pull_version(registry, 1)
    assert str(root) in caught.value.advice
    monkeypatch.setenv("BUCKETRY_CACHE", str(root / "own"))
    assert contents(pull_version(registry, 1).path) == published[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_another_user_put_into_the_cache_is_neither_handed_out_nor_linked(
    registry: Registry, published: dict[int, dict[str, bytes]], what: str
) -> None:
    there = pull_version(registry, 1).path
    path = there if what == "folder" else there / "weights.bin"
    os.chown(path, 12_345, -1)
    brought = pull_version(registry, 1)
    assert contents(brought.path) == published[1]
    assert brought.fetched_bytes == 0, "it is copied from what is there, once that was hashed"
    assert {each.stat().st_uid for each in (brought.path, *brought.path.iterdir())} == {0}


def test_a_change_that_keeps_size_and_time_is_found_by_hashing_alone(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    dest = tmp_path / "dest"
    there = pull_version(registry, 1, dest).path
    edit_in_place(there / "weights.bin", 7 * CHUNK_BYTES, keep_time=True)
    believed = pull_version(registry, 1, dest)
    assert (believed.verify, contents(there) == published[1]) == ("sizes_and_times", False)
    hashed = pull_version(registry, 1, dest, rehash=True)
    assert (hashed.verify, hashed.fetched_bytes) == ("sha256", CHUNK_BYTES)
    assert contents(there) == published[1]
    inode = there.stat().st_ino
    assert pull_version(registry, 1, dest, rehash=True).verify == "sha256"
    assert there.stat().st_ino == inode


def test_an_unchanged_version_is_not_read(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bucketry.registry.reading import pull as module  # noqa: PLC0415 - the module, whose function is replaced

    assert published
    pull_version(registry, 1, tmp_path / "dest")
    monkeypatch.setattr(module, "find_wrong", lambda *_, **__: pytest.fail("hashed"))
    monkeypatch.setattr(module, "prepare_target", lambda *_, **__: pytest.fail("written"))
    assert pull_version(registry, 1, tmp_path / "dest").fetched_bytes == 0


def test_a_receipt_that_claims_other_files_of_the_version_is_not_believed(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    dest = tmp_path / "dest"
    pull_version(registry, 1, dest)
    receipt = dest / ".bucketry/receipt.json"
    document = json.loads(receipt.read_bytes())
    (dest / "config.json").write_bytes(b"evil")
    status = (dest / "config.json").stat()
    evil = {"sha256": sha256(b"evil").hexdigest(), "size_bytes": 4, "changed_at_ns": status.st_mtime_ns}
    document["files"]["config.json"] = evil
    receipt.write_text(json.dumps(document))
    pull_version(registry, 1, dest)
    assert contents(dest) == published[1]


def test_what_a_user_put_into_a_target_stays_whatever_is_pulled_there(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    dest = tmp_path / "dest"
    pull_version(registry, 1, dest)
    (dest / "thesis.txt").write_bytes(b"mine")
    for version in (1, 2):
        with pytest.raises(RejectedError, match=r"thesis\.txt"):
            pull_version(registry, version, dest)
        assert contents(dest) == published[1] | {"thesis.txt": b"mine"}
    (dest / "thesis.txt").rename(tmp_path / "thesis.txt")
    pull_version(registry, 2, dest)
    assert contents(dest) == published[2]


@pytest.mark.parametrize("spoiled", ["more", "no receipt"])
def test_a_spoiled_version_in_the_cache_is_refused_until_the_cache_is_verified(
    registry: Registry, published: dict[int, dict[str, bytes]], spoiled: str
) -> None:
    there = pull_version(registry, 1).path
    if spoiled == "more":
        (there / "thesis.txt").write_bytes(b"mine")
    else:
        (there / ".bucketry/receipt.json").unlink()
    with pytest.raises(RejectedError) as refused:
        pull_version(registry, 1)
    assert "bucketry cache verify" in refused.value.advice
    assert [item.path for item in verify_cached()] == [there]
    assert contents(pull_version(registry, 1).path) == published[1]


def test_a_volume_is_filled_and_updated_in_place_and_chunks_are_reused(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    with irreplaceable("file system", tmp_path) as volume:
        pull_version(registry, 1, volume)
        assert contents(volume) == published[1]
        pulled = pull_version(registry, 2, volume)
        assert contents(volume) == published[2]
        assert pulled.fetched_bytes == 5 * CHUNK_BYTES + len(published[2]["config.json"])
        assert pull_version(registry, 2, volume).fetched_bytes == 0
        (volume / "weights.bin").write_bytes(b"damage")
        (volume / "config.json").unlink()
        assert pull_version(registry, 2, volume).fetched_bytes <= 5 * CHUNK_BYTES + CHUNKS * CHUNK_BYTES
        assert contents(volume) == published[2]


def test_what_is_the_same_in_the_next_version_needs_no_second_room_on_a_volume(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    assert published
    folder = tmp_path / "large"
    folder.mkdir()
    (folder / "base.bin").write_bytes(Random(1).randbytes(600_000))
    for number in (1, 2):
        (folder / "head.bin").write_bytes(b"%d" % number)
        registry.publish("acme/large", [folder])
    with mounted(tmp_path / "volume", "size=1m") as volume:
        for number in (1, 2):
            pulled = pull(registry.session, parse_reference(f"acme/large:{number}"), volume)
        assert pulled.fetched_bytes == 1
        assert (volume / "head.bin").read_bytes() == b"2"


def test_a_pull_after_a_kill_in_the_midst_of_a_change_fetches_nothing_again(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with irreplaceable("file system", tmp_path) as volume:
        pull_version(registry, 1, volume)
        with monkeypatch.context() as broken:
            calls = iter(range(10))
            honest = OpenFolders.move

            def fail(*arguments: Any) -> None:
                if next(calls) == 1:
                    raise OSError(5, "the disk failed")
                honest(*arguments)

            broken.setattr(OpenFolders, "move", fail)
            with pytest.raises(UnavailableError):
                pull_version(registry, 2, volume)
        assert isinstance(inspect_target(volume), Incomplete)
        with pytest.raises(RejectedError, match="not finished"):
            registry.report(f"{MODEL}:2", environment="prod", path=volume)
        pulled = pull_version(registry, 2, volume)
        assert pulled.fetched_bytes == 0
        assert contents(volume) == published[2]


@pytest.mark.parametrize("how", ["copied", "linked"])
def test_with_cache_the_pulls_of_a_node_fetch_a_version_once(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path, how: str
) -> None:
    first = pull_version(registry, 1, tmp_path / "one", cache=True, hard_link=how == "linked")
    assert first.fetched_bytes == first.size_bytes
    second = pull_version(registry, 1, tmp_path / "two", cache=True, hard_link=how == "linked")
    assert (second.fetched_bytes, second.reused_bytes) == (0, second.size_bytes)
    assert pull_version(registry, 1).fetched_bytes == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == published[1]
    assert verify_cached() == ()
    shared = {(tmp_path / name / "weights.bin").stat().st_ino for name in ("one", "two")}
    assert len(shared) == (1 if how == "linked" else 2)


def test_with_cache_a_version_that_is_at_the_target_already_comes_from_there(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    pull_version(registry, 1, tmp_path / "dest")
    assert pull_version(registry, 1, tmp_path / "dest", cache=True).fetched_bytes == 0
    pulled = pull_version(registry, 1)
    assert pulled.fetched_bytes == 0
    assert contents(pulled.path) == published[1]


@pytest.mark.parametrize("locks", ["kernel", "none"])
def test_two_pulls_of_one_version_at_once_fetch_it_once(
    registry: Registry,
    published: dict[int, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    locks: str,
) -> None:
    if locks == "none":

        def no_locks(*_: object) -> None:
            raise OSError(37, "No locks available")

        monkeypatch.setattr(fcntl, "flock", no_locks)
    waited: list[int] = []

    def pull_one(number: int) -> PulledVersion:
        dest = None if number == 0 else tmp_path / f"dest-{number}"
        limit = 8 * 1024 * 1024 if locks == "kernel" else None
        return pull_version(
            registry, 1, dest, cache=True, limit_bytes_per_second=limit, on_wait=lambda: waited.append(number)
        )

    with ThreadPoolExecutor(3) as pool:
        pulled = list(pool.map(pull_one, range(3)))
    assert all(contents(one.path) == published[1] for one in pulled)
    if locks == "kernel":
        assert sum(one.fetched_bytes for one in pulled) == pulled[0].size_bytes
        assert len(waited) == 2


def test_nobody_waits_for_a_pull_that_stands_still(
    registry: Registry, published: dict[int, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "STANDSTILL_SECONDS", 0.3)
    path = open_cache().version_path(
        registry.session.registry.registry, "acme/chat", registry.resolve(f"{MODEL}:1").digest
    )
    with open_cache().bringing(path):
        assert contents(pull_version(registry, 1).path) == published[1]


def test_a_cache_that_cannot_be_written_is_read(
    registry: Registry, published: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    pull_version(registry, 1)
    let_others_enter(tmp_path)
    shutil.rmtree(tmp_path / "cache/tmp")
    (tmp_path / "own").mkdir()
    with as_nobody(tmp_path / "own", tmp_path / "registry", *(tmp_path / "registry").rglob("*")):
        pulled = pull_version(registry, 1, tmp_path / "own/dest", cache=True)
        assert pull_version(registry, 1).fetched_bytes == 0
    assert pulled.fetched_bytes == 0
    assert contents(tmp_path / "own/dest") == published[1]


@pytest.mark.parametrize("verify", ["sha256", "fast"])
def test_what_enters_the_cache_is_hashed_at_most_once_more(
    registry: Registry, published: dict[int, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch, verify: str
) -> None:
    from bucketry.transfer.disk import cache  # noqa: PLC0415 - the module, whose function is replaced

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
