"""How long does a collection take to plan for one model with a hundred thousand versions in a folder?

`PYTHONPATH=tests python -m benchmarks.collecting [VERSIONS]` makes the registry in memory, a version in a hundred
deleted and a blob in a thousand of no version, and says the seconds and the memory of each command, the whole process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import say
from benchmarks.peers import OURS
from bucketry.registry.core.opening import create_registry
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.audit import AuditAction, Record, Trail, continue_trail
from bucketry.schema.documents.head import Head, Row, SealedPages, encode_head
from bucketry.schema.documents.manifest import Artifact, Chunks, Manifest, encode_manifest
from bucketry.schema.documents.pages import Directory, Page, encode_directory, encode_page, entry_of
from bucketry.schema.documents.states import State
from bucketry.schema.names import Digest, ModelName

MODEL = ModelName("bench", "large")
FILES = 3
PAGE_ROWS, ROWS_KEPT = 64, 64
DELETED_ONE_IN, STRAY_ONE_IN = 100, 1_000
AT = "2026-03-03T12:00:00.000Z"
OLD_SECONDS = 3 * 24 * 3600


def make_registry(folder: Path, versions: int) -> None:
    """Write a registry whose one model has so many versions, each with a file of its own and two that tens share."""
    name = create_registry(str(folder), identity="bench@example.org").registry
    rows = [_make_version(folder, version) for version in range(1, versions + 1)]
    for number in range(versions // STRAY_ONE_IN):
        _write(folder, keys.blob(MODEL, 1, digest_of(f"stray {number}".encode())), b"stray")
    entries = []
    for start in range(0, versions - ROWS_KEPT, PAGE_ROWS):
        some = tuple(rows[start : min(start + PAGE_ROWS, versions - ROWS_KEPT)])
        body = encode_page(Page(some))
        _write(folder, keys.page(MODEL, digest_of(body)), body)
        entries.append(entry_of(some, digest_of(body)))
    body = encode_directory(Directory(tuple(entries)))
    _write(folder, keys.page(MODEL, digest_of(body)), body)
    record = Record(0, "0" * 32, AT, "bench@example.org", AuditAction.PUBLISH, str(versions), Digest(""))
    head = Head(
        name,
        MODEL,
        next_version=versions + 1,
        rows=tuple(rows[-ROWS_KEPT:]),
        sealed=SealedPages(versions - ROWS_KEPT, digest_of(body)),
        trail=Trail((continue_trail(Trail(), record),)),
    )
    _write(folder, keys.head(MODEL), encode_head(head))


def measure(registry: Path, *arguments: str) -> tuple[str, dict[str, object]]:
    """Return what a command took, and what it answered."""
    began = time.monotonic()
    process = subprocess.Popen([str(OURS), *arguments, "-r", str(registry), "--json"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    answered = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    assert status == 0, answered
    took = f"{seconds:.2f} s ({used.ru_utime + used.ru_stime:.2f} s of a core), {used.ru_maxrss / 1000:.0f} MB"
    return took, json.loads(answered)


def main(versions: int) -> None:
    """Make it, measure it, and print a line for each command."""
    work = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        began = time.monotonic()
        # In a process of its own: a new one counts the memory of the one that starts it.
        make = f"from benchmarks.collecting import *; make_registry(Path({str(work / 'registry')!r}), {versions})"
        subprocess.run([sys.executable, "-c", make], check=True)
        say(f"made {versions:,} versions in {time.monotonic() - began:.1f} s")
        for arguments in (("gc",), ("gc", "--apply"), ("gc",), ("usage",), ("usage", str(MODEL))):
            took, document = measure(work / "registry", *arguments)
            said = {name: document[name] for name in ("by_reason", "walked", "total_bytes") if name in document}
            say(f"{' '.join(arguments)}: {took} {said}")
    finally:
        shutil.rmtree(work)


def _make_version(folder: Path, version: int) -> Row:
    contents = [f"own {version}", f"shared {version // 10}", f"shared by many {version // 100}"][:FILES]
    artifacts = []
    for number, content in enumerate(contents):
        digest = digest_of(content.encode())
        chunks = Chunks(16 * 1024 * 1024, (digest,), ("0" * 32,))
        artifacts.append(Artifact(f"file-{number}.bin", len(content), digest, "application/octet-stream", chunks))
        _write(folder, keys.blob(MODEL, 1, digest), content.encode())
    manifest = Manifest(
        MODEL,
        AT,
        "bench@example.org",
        tuple(artifacts),
        labels={"run": f"run-{version}"},
        notes="One of a great many versions, with a sentence or two of notes as people write them.",
    )
    body = encode_manifest(manifest)
    _write(folder, keys.manifest(MODEL, digest_of(body)), body)
    row = Row(
        version, digest_of(body), ((1, FILES),), manifest.size_bytes, AT, "bench@example.org", metrics={"auc": 0.9}
    )
    return replace(row, state=State.DELETED) if version % DELETED_ONE_IN == 0 else row


_made: set[Path] = set()


def _write(folder: Path, key: str, body: bytes) -> None:
    path = folder / key
    if path.parent not in _made:
        path.parent.mkdir(parents=True, exist_ok=True)
        _made.add(path.parent)
    path.write_bytes(body)
    if key.startswith(keys.BLOBS):
        old = time.time() - OLD_SECONDS
        os.utime(path, (old, old))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
