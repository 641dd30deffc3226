"""What is the smallest pull that the tests of targets and caches need?"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from bucketry.transfer.disk.receipt import write_receipt
from bucketry.transfer.disk.target import Publication, prepare_target, publish_target
from bucketry.transfer.down.download import FetchOutcome, LocalSources
from bucketry.transfer.down.remote import plan_of
from transfer.helpers import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bucketry.store.contract import Store
    from bucketry.transfer.disk.staging import Staging
    from bucketry.transfer.down.remote import RemoteFile
    from bucketry.transfer.down.reuse import Source


def record(directory: Path, files: Sequence[RemoteFile], manifest: str = "m1") -> None:
    write_receipt(directory, {file.path: file.sha256 for file in files}, about(manifest))


def about(manifest: str) -> dict[str, object]:
    return {"registry": "registry", "model": "acme/chat", "manifest": digest_of(manifest)}


def digest_of(manifest: str) -> str:
    """Return a digest as it is, and one that stands for any shorter name."""
    return manifest if len(manifest) == 64 else hashlib.sha256(manifest.encode()).hexdigest()


def pull(
    store: Store, files: Sequence[RemoteFile], destination: Path, manifest: str = "m1", **options: Any
) -> Publication:
    return pull_and_count(store, files, destination, manifest, **options)[0]


def pull_and_count(
    store: Store,
    files: Sequence[RemoteFile],
    destination: Path,
    manifest: str = "m1",
    *,
    sources: Sequence[Source] = (),
    **options: Any,
) -> tuple[Publication, FetchOutcome]:
    plan = plan_of(destination.name, manifest, files)
    with prepare_target(destination, plan) as staging:
        nearby = LocalSources(staging, plan, sources)
        fetched = fetch(store, files, staging.directory, nearby=nearby, **options)
        record(staging.directory, files, manifest)
        return publish_target(staging), fetched


def staged(destination: Path, contents: dict[str, bytes], manifest: str) -> Staging:
    """Return a staging folder that holds a version, ready to be published."""
    staging = prepare_target(destination)
    for path, body in contents.items():
        file = staging.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    digests = {path: hashlib.sha256(body).hexdigest() for path, body in contents.items()}
    write_receipt(staging.directory, digests, about(manifest))
    return staging
