"""How is a file larger than memory served and received without a disk of that size?

The object is sparse: each chunk begins with bytes of its own, so that no two are alike, and the rest is a hole. It is
registered as any version is. While a client writes what it receives, holes are punched behind it: every byte takes
the whole way through the client, and the file system in memory keeps none of them.
"""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from benchmarks.site import BLOCK_BYTES, NAMESPACE, Blob, Site
from bucketry.client import open_registry
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.schema import keys
from bucketry.schema.documents.manifest import Artifact, Chunks, Manifest
from bucketry.schema.names import Digest, parse_model_name
from bucketry.transfer.disk.hashing import Digester
from bucketry.transfer.pace.workers import Halt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PUNCH_HOLE_KEEPING_SIZE = 0x03  # of linux/falloc.h
PAUSE_SECONDS = 0.1


def make_sparse(site: Site, model: str, size_bytes: int) -> Blob:
    """Register a version of one sparse file and return its blob."""
    path = site.work / f"{model}.bin"
    with path.open("wb") as file:
        file.truncate(size_bytes)
        for start in range(0, size_bytes, BLOCK_BYTES):
            os.pwrite(file.fileno(), start.to_bytes(16, "big"), start)
    digest = Digester(BLOCK_BYTES, Halt()).digest(path, lambda _: None)
    name = parse_model_name(f"{NAMESPACE}/{model}")
    chunks = Chunks(digest.chunks.size_bytes, digest.chunks.sha256, digest.chunks.xxh3_128)
    artifact = Artifact("model.bin", size_bytes, Digest(digest.sha256), "application/octet-stream", chunks)
    placed: list[Path] = []

    def place(epoch: int, _: Sequence[Artifact]) -> int:
        blob = site.registry / keys.blob(name, epoch, artifact.sha256)
        blob.parent.mkdir(parents=True, exist_ok=True)
        path.rename(blob)
        placed.append(blob)
        return 0

    session = open_registry(str(site.registry), identity="benchmark@example.org").session
    manifest = Manifest(
        model=name, created_at=session.clock.timestamp(), created_by=session.actor, artifacts=(artifact,)
    )
    register_version(session, PreparedVersion(manifest), place)
    session.store.close()
    return Blob(placed[0], digest.sha256, size_bytes)


@contextmanager
def punching(folder: Path, word: str) -> Iterator[None]:
    """Free, again and again, what is written to large files in whatever has this word in its name in `folder`."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    done = threading.Event()

    def punch() -> None:
        while not done.wait(PAUSE_SECONDS):
            for top in folder.iterdir():
                if word in top.name:
                    for path in (top, *top.rglob("*")):
                        punch_one(path)

    def punch_one(path: Path) -> None:
        with suppress(OSError):  # it was renamed or removed just now
            if path.is_file() and path.stat().st_blocks * 512 > BLOCK_BYTES:
                free(path)

    def free(path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY)
        try:
            libc.fallocate(descriptor, PUNCH_HOLE_KEEPING_SIZE, 0, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)

    thread = threading.Thread(target=punch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
