"""What is the smallest pull that the tests of targets and caches need?"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from bucketry.transfer.download import Fetched, Nearby, fetch
from bucketry.transfer.remote import plan_of
from bucketry.transfer.target import Publication, Staging, prepare_target, publish_target, write_receipt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bucketry.store.interface import Store
    from bucketry.transfer.remote import RemoteFile
    from bucketry.transfer.reuse import Source


def receipt_of(files: Sequence[RemoteFile], manifest: str = "m1") -> dict[str, object]:
    return {"manifest": manifest, "files": {file.path: file.sha256 for file in files}}


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
) -> tuple[Publication, Fetched]:
    plan = plan_of(destination.name, manifest, files)
    with prepare_target(destination, plan) as staging:
        nearby = Nearby(staging, plan, sources)
        fetched = fetch(store, files, staging.directory, nearby=nearby, **options)
        write_receipt(staging, receipt_of(files, manifest))
        return publish_target(staging), fetched


def staged(destination: Path, contents: dict[str, bytes], manifest: str) -> Staging:
    """Return a staging folder that holds a version, ready to be published."""
    staging = prepare_target(destination)
    for path, body in contents.items():
        file = staging.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    digests = {path: hashlib.sha256(body).hexdigest() for path, body in contents.items()}
    write_receipt(staging, {"manifest": manifest, "files": digests})
    return staging
