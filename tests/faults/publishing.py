"""Which registry do the tests of faults publish to, through what, and what must be true afterwards?"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.client import Registry
from bucketry.errors import BucketryError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.opening import record_conformance
from bucketry.registry.core.session import Session
from bucketry.store.retry import RetryingStore
from bucketry.store.s3.store import S3Settings, S3Store
from faults.scene import check_line, conformance_of_a_perfect_store
from servers.fault_proxy import let_through, run_fault_proxy
from store.s3_stores import credentials

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.fault_proxy import FaultProxy
    from servers.misbehaving import Asked
    from servers.process import S3Server

PART_BYTES = 5 * 1024 * 1024  # the least that S3 takes
CONTENTS = {"config.json": b'{"layers": 2}', "weights.bin": Random(4).randbytes(2 * PART_BYTES + 1_234)}
PARTS = 3
DEADLINE_SECONDS = 4.0


def is_part(asked: Asked) -> bool:
    """Whether it brings a part of a large file."""
    return asked.method == "PUT" and "partNumber=" in asked.path


def is_small_blob(asked: Asked) -> bool:
    """Whether it brings a small file."""
    return asked.method == "PUT" and "/blobs/" in asked.path and not is_part(asked)


def is_start(asked: Asked) -> bool:
    """Whether it begins an upload in parts."""
    return asked.method == "POST" and asked.path.partition("?")[2].startswith("uploads")


def is_completion(asked: Asked) -> bool:
    """Whether it completes an upload in parts."""
    return asked.method == "POST" and "uploadId=" in asked.path


def is_commit(asked: Asked) -> bool:
    """Whether it commits a version."""
    return asked.method == "PUT" and "/heads/" in asked.path


@dataclass(frozen=True, slots=True)
class Publishing:
    """A registry on a real server behind the proxy, and a folder to publish."""

    proxy: FaultProxy
    prefix: str
    source: Path
    destination: Path
    contents: dict[str, bytes]

    @contextmanager
    def opened(self, token: str | None = None, **settings: Any) -> Iterator[Registry]:
        """Open the registry as a new process would."""
        server = self.proxy.server
        with credentials(server.access_key, server.secret_key, token):
            store = S3Store(server.bucket, self.prefix, S3Settings(endpoint_url=server.endpoint_url, **settings))
            try:
                yield Registry(Session(RetryingStore(store, deadline_seconds=DEADLINE_SECONDS), "ada@example.org"))
            finally:
                store.close()

    def publish(self, token: str | None = None, **settings: Any) -> int:
        """Publish the folder and return the version; who repeats it gets the same."""
        with self.opened(token, **settings) as registry:
            return registry.publish("acme/chat", [self.source], idempotency_key="job-1").version

    def fails(self, exit_code: int, **settings: Any) -> BucketryError:
        """Publish, and check that it ends in one clear line with this exit code."""
        with pytest.raises(BucketryError) as caught:
            self.publish(**settings)
        error = caught.value
        assert error.exit_code == exit_code, error
        check_line(f"{error.message}; do this: {error.advice}")
        assert error.advice
        return error

    def check(self) -> None:
        """Fail unless the registry has exactly this one version, whole."""
        self.proxy.script = let_through
        with self.opened() as registry:
            assert [summary.version for summary in registry.versions("acme/chat")] == [1]
            findings = check_registry(registry.session, deep=True).findings
            # An upload of which nobody learned, or that has no part yet, may be left: it only takes room.
            assert [finding for finding in findings if finding.grade == "damage"] == []
            pulled = registry.pull("acme/chat:1", self.destination)
        assert {name: (pulled / name).read_bytes() for name in self.contents} == self.contents

    def converges(self) -> list[Asked]:
        """Check that the next publish, with everything well again, brings the version; return what it asked."""
        self.proxy.script = let_through
        self.proxy.asked.clear()
        assert self.publish() == 1
        asked = list(self.proxy.asked)
        self.check()
        return asked


@contextmanager
def publishing(server: S3Server, tmp_path: Path) -> Iterator[Publishing]:
    """Make a registry without versions on a server, and a folder of two files to publish."""
    source = tmp_path / "out"
    source.mkdir()
    for name, body in CONTENTS.items():
        (source / name).write_bytes(body)
    with run_fault_proxy(server) as proxy:
        scene = Publishing(proxy, f"faults/{tmp_path.name}", source, tmp_path / "served", dict(CONTENTS))
        with scene.opened() as registry:
            record_conformance(registry.session, conformance_of_a_perfect_store(), create=True)
        proxy.asked.clear()
        yield scene
