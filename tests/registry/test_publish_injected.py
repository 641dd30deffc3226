"""Is a version committed only if every byte of it is in the store, wherever the publish before it was broken?"""

from __future__ import annotations

import faulthandler
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

from bucketry.client import Registry
from bucketry.errors import BucketryError, CorruptError, DeniedError, UnavailableError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.opening import open_session
from bucketry.registry.publishing import blobs
from bucketry.store.contract import ObjectNotFoundError, PreconditionFailedError
from bucketry.transfer.disk import hashing
from registry.opened import make_registry
from transfer.helpers import HookedStore, transfer_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODEL = "acme/chat"
CHUNK_BYTES = 4096
CHUNKS = 6
LONGEST_SECONDS = 60.0
STEPS = ("stat", "put_blob", "list_uploads", "start_upload", "upload_part", "copy_part", "complete_upload")
FAILURES: dict[str, Callable[[], BaseException]] = {
    "unavailable": lambda: UnavailableError("down"),
    "refused": lambda: PreconditionFailedError("taken"),
    "not-found": lambda: ObjectNotFoundError("gone"),
    "denied": lambda: DeniedError("no"),
    "corrupt": lambda: CorruptError("wrong"),
    "interrupted": KeyboardInterrupt,
}


@pytest.fixture
def registry(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Return a registry in a folder, with small chunks, which must not hang."""
    stderr = request.config.stash[fault_handler_stderr_fd_key]  # pytest has captured the other one
    faulthandler.dump_traceback_later(LONGEST_SECONDS, exit=True, file=stderr)
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setattr(hashing, "SMALLEST_CHUNK_BYTES", CHUNK_BYTES)
    monkeypatch.setattr(blobs, "SMALLEST_COPY_SOURCE_BYTES", CHUNK_BYTES + 1)
    make_registry(tmp_path / "registry", "owner@example.org")
    session = open_session(str(tmp_path / "registry"), identity="trainer@example.org")
    with Registry(replace(session, store=HookedStore(session.store.unretried))) as opened:
        yield opened
    faulthandler.cancel_dump_traceback_later()
    assert transfer_threads() == []


def write_version(folder: Path, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    body = bytearray(Random(1).randbytes(CHUNKS * CHUNK_BYTES))
    body[: 2 * CHUNK_BYTES] = Random(seed).randbytes(2 * CHUNK_BYTES)
    (folder / "weights.bin").write_bytes(body)
    (folder / "config.json").write_text(f'{{"seed": {seed}}}')
    (folder / "always-the-same.txt").write_text("the same")


@pytest.mark.parametrize("is_done", [False, True], ids=["lost", "only-the-reply-lost"])
@pytest.mark.parametrize("step", STEPS)
def test_a_version_is_committed_only_with_all_its_bytes(
    registry: Registry, tmp_path: Path, step: str, *, is_done: bool
) -> None:
    store: Any = registry.session.store
    folder = tmp_path / "out"
    write_version(folder, 0)
    registry.publish(MODEL, [folder])
    left, failures = [0], [*FAILURES.values()]

    def fail(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] != 0:
            return method(*arguments, **named)
        if is_done:
            method(*arguments, **named)
        error = failures[seed]()
        raise error

    for seed in range(len(failures)):
        left[0] = 1 + seed % 2
        write_version(folder, seed + 1)
        before = count_versions(registry)
        store.hooks = {step: fail}
        try:
            registry.publish(MODEL, [folder])
        except BucketryError:
            assert count_versions(registry) == before
        except KeyboardInterrupt:
            assert step == "list_uploads" or count_versions(registry) == before  # it is asked after the commit too
        store.hooks = {}
        assert check_registry(registry.session, deep=True).damage == ()
    published = registry.publish(MODEL, [folder])
    registry.pull(f"{MODEL}:{published.version}", tmp_path / "pulled")
    for name in ("weights.bin", "config.json", "always-the-same.txt"):
        assert (tmp_path / "pulled" / name).read_bytes() == (folder / name).read_bytes()


def count_versions(registry: Registry) -> int:
    return len([*registry.versions(MODEL)])
