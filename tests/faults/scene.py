"""Which registry do the tests of faults pull from, through what, and what must be true afterwards?"""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.client import Registry
from bucketry.errors import BucketryError
from bucketry.registry.core.opening import probe_store, record_conformance
from bucketry.registry.core.session import Session
from bucketry.registry.reading.pull import PulledVersion, PullOptions, pull
from bucketry.schema.names import parse_reference
from bucketry.store.memory import MemoryStore
from bucketry.store.retry import RetryingStore
from bucketry.store.s3.store import S3Settings, S3Store
from servers.fault_proxy import let_through
from store.s3_stores import credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bucketry.store.probe.probe import ProbeReport
    from servers.fault_proxy import Fault, FaultProxy
    from servers.misbehaving import Asked

CHUNK_BYTES = 64 * 1024
WEIGHTS = Random(3).randbytes(7 * CHUNK_BYTES + 1_234)
CONTENTS = {"config.json": b'{"layers": 2}', "empty.txt": b"", "sub/weights.bin": WEIGHTS}
SIZE_BYTES = sum(map(len, CONTENTS.values()))
REFERENCE = "acme/chat:1"
DEADLINE_SECONDS = 1.2
STALL_SECONDS = 0.4
SECRET_WORDS = ("the-secret-key-itself", "Signature=", "Traceback")

_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]+)")


@cache
def conformance_of_a_perfect_store() -> ProbeReport:
    """Return what a probe finds where every promise is kept: the servers are probed by other tests."""
    return probe_store(Session(MemoryStore(), "ada@example.org"))


def make_registry(folder: Path) -> MemoryStore:
    """Return a bucket with one version of a model: a file of eight chunks, a small one, an empty one."""
    for path, body in CONTENTS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(body)
    memory = MemoryStore()
    session = Session(memory, "ada@example.org")
    record_conformance(session, conformance_of_a_perfect_store(), create=True)
    Registry(session).publish("acme/chat", [folder])
    return memory


def is_of_weights(asked: Asked) -> bool:
    """Whether bytes of the large file are asked for."""
    return asked.method == "GET" and asked.path.endswith(_digest("sub/weights.bin"))


def is_of_config(asked: Asked) -> bool:
    """Whether the small file is asked for."""
    return asked.method == "GET" and asked.path.endswith(_digest("config.json"))


def is_of_blobs(asked: Asked) -> bool:
    """Whether any bytes of a file are asked for."""
    return asked.method == "GET" and "/blobs/" in asked.path


def range_of(asked: Asked) -> tuple[int, int] | None:
    """Return where the range that is asked for begins and ends."""
    found = _RANGE.fullmatch(asked.headers.get("range", ""))
    return (int(found[1]), int(found[2]) + 1) if found else None


@dataclass(frozen=True, slots=True)
class Scene:
    """A registry, reached through a proxy that can break anything, and a target to pull it to."""

    memory: MemoryStore
    proxy: FaultProxy
    destination: Path
    options: PullOptions = field(default_factory=lambda: PullOptions(connections=4))

    def breaks(self, script: Callable[[Asked], Fault | None]) -> None:
        """Let the proxy do this from now on."""
        self.proxy.script = script

    def heals(self) -> None:
        """Let everything through from now on, and forget what was asked."""
        self.proxy.script = let_through
        self.proxy.asked.clear()

    @contextmanager
    def opened(self, token: str | None = None, **settings: Any) -> Iterator[Session]:
        """Open the registry as a new process would, perhaps with a session's token."""
        known = {"read_timeout_seconds": 10.0, "connect_timeout_seconds": 10.0, **settings}
        server = self.proxy.server
        with credentials(server.access_key, server.secret_key, token):
            store = S3Store(server.bucket, "", S3Settings(endpoint_url=server.endpoint_url, **known))
            try:
                yield Session(RetryingStore(store, deadline_seconds=DEADLINE_SECONDS), "ada@example.org")
            finally:
                store.close()

    def pull(self, **settings: Any) -> PulledVersion:
        """Pull the version to the target."""
        with self.opened(**settings) as session:
            return pull(session, parse_reference(REFERENCE), self.destination, self.options)

    def succeeds(self, **settings: Any) -> PulledVersion:
        """Pull, and check that every byte is there and nothing else."""
        pulled = self.pull(**settings)
        check_contents(self.destination)
        assert self.beside() == []
        return pulled

    def fails(self, exit_code: int, **settings: Any) -> BucketryError:
        """Pull, and check that it ends in one clear line with this exit code and leaves nothing at the target."""
        with pytest.raises(BucketryError) as caught:
            self.pull(**settings)
        error = caught.value
        assert error.exit_code == exit_code, error
        check_line(f"{error.message}; do this: {error.advice}")
        assert error.advice
        assert not self.destination.exists()
        assert len(self.beside()) <= 1
        return error

    def converges(self) -> PulledVersion:
        """Check that the next pull, with everything well again, brings the version."""
        self.heals()
        return self.succeeds()

    def beside(self) -> list[str]:
        """Return the names of everything that lies beside the target."""
        if not self.destination.parent.exists():
            return []
        return sorted(path.name for path in self.destination.parent.iterdir() if path != self.destination)


def check_contents(destination: Path) -> None:
    """Fail unless a target holds exactly the version."""
    files = [path for path in destination.rglob("*") if path.is_file() and ".bucketry" not in path.parts]
    assert {path.relative_to(destination).as_posix(): path.read_bytes() for path in files} == CONTENTS


def check_line(text: str) -> None:
    """Fail unless a message is one line without secrets."""
    assert text.isprintable()
    for word in SECRET_WORDS:
        assert word not in text


def _digest(path: str) -> str:
    return hashlib.sha256(CONTENTS[path]).hexdigest()
