"""How does a version come to this machine, complete and verified, or not at all?

To a target: absent, it appears; the same version there, nothing is done; another version that a pull made, it is
replaced at once; anything else is refused and untouched. Without a target the version's directory in the node's
cache is filled and returned. Only bytes that somebody here has verified are reused, and they are hashed again.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, CorruptError, NotFoundError, RejectedError, UnsupportedError
from bucketry.registry.opening import open_store
from bucketry.registry.resolve import ResolvedVersion, load_manifest, resolve
from bucketry.schema.names import ByAlias, parse_digest
from bucketry.store.interface import ObjectNotFoundError, PreconditionFailedError
from bucketry.transfer.cache import Cache, default_cache_root
from bucketry.transfer.download import DEFAULT_CONNECTIONS, Nearby, fetch
from bucketry.transfer.remote import RemoteFile, Verify, plan_of
from bucketry.transfer.reuse import OlderFile, Source, blobs_of, version_in
from bucketry.transfer.target import (
    Absent,
    Foreign,
    Ours,
    Staging,
    inspect_target,
    prepare_target,
    publish_target,
    recorded_files,
    sweep_beside,
    write_receipt,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from bucketry.registry.session import Session
    from bucketry.schema.names import Reference
    from bucketry.transfer.processes import Slices
    from bucketry.transfer.progress import ProgressListener
    from bucketry.transfer.target import TargetState

MAX_CACHED_VERSIONS_READ = 2
"""How many cached versions of the model are asked for equal chunks: each costs one read of a manifest."""


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How a version is pulled. Patterns are shell globs over whole paths; `*` also matches `/`.

    `verify` is `sha256`, or `fast` (XXH3-128) where nobody hostile can write. `connections` is the most that run at
    once, `processes` how many processes share them. `hard_link` lets a target share its files, which become
    read-only, with the cache, which then holds them too. `stop` ends the pull soon after it is set.
    """

    verify: Verify = "sha256"
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    connections: int = DEFAULT_CONNECTIONS
    limit_bytes_per_second: int | None = None
    processes: int = 1
    hard_link: bool = False
    on_transfer: ProgressListener | None = None
    stop: threading.Event | None = None


@dataclass(frozen=True, slots=True)
class PulledVersion:
    """Where a version is now, and how much had to be moved for it."""

    path: Path
    resolved: ResolvedVersion
    size_bytes: int
    fetched_bytes: int
    reused_bytes: int
    seconds: float
    verify: Verify


def open_cache() -> Cache:
    """Return this user's cache: `BUCKETRY_CACHE`, else below `XDG_CACHE_HOME` or `~/.cache`."""
    return Cache(default_cache_root(os.environ, Path.home()))


def pull(
    session: Session, reference: Reference, dest: Path | None = None, options: PullOptions | None = None
) -> PulledVersion:
    """Bring a version to `dest`, or into the cache; raise `RejectedError` for a `dest` that holds anything else.

    Where a file turns out to be gone (collected after the alias had moved on), an alias is resolved once more.
    """
    options = options or PullOptions()
    started_seconds = time.monotonic()
    resolved = resolve(session, reference)
    try:
        return _pull_resolved(session, resolved, dest, options, started_seconds)
    except ObjectNotFoundError as error:
        again = resolve(session, reference) if isinstance(reference.selector, ByAlias) else resolved
        if (again.digest, again.placement) == (resolved.digest, resolved.placement):
            raise CorruptError(
                f"a file of {resolved.model}:{resolved.version} is missing in the store",
                advice="run `bucketry fsck`",
            ) from error
        return _pull_resolved(session, again, dest, options, started_seconds)


def _pull_resolved(
    session: Session,
    resolved: ResolvedVersion,
    dest: Path | None,
    options: PullOptions,
    started_seconds: float,
) -> PulledVersion:
    work = _Pull(session, resolved, options, open_cache())
    files = _select(resolved, options)
    path, fetched_bytes = work.into_cache(files) if dest is None else work.into_target(files, dest)
    size_bytes = sum(file.size_bytes for file in files)
    return PulledVersion(
        path=path,
        resolved=resolved,
        size_bytes=size_bytes,
        fetched_bytes=fetched_bytes,
        reused_bytes=max(0, size_bytes - fetched_bytes),
        seconds=time.monotonic() - started_seconds,
        verify=options.verify,
    )


@dataclass(frozen=True, slots=True)
class _Pull:
    session: Session
    resolved: ResolvedVersion
    options: PullOptions
    cache: Cache

    def into_target(self, files: Sequence[RemoteFile], dest: Path) -> tuple[Path, int]:
        """Make `dest` hold exactly these files; return it and the bytes that were fetched."""
        there = inspect_target(dest)
        if isinstance(there, Foreign):
            raise RejectedError(
                f"{there.reason}, so it is left untouched", advice="choose another target, or move it away"
            )
        if self._is_there(there, files):
            # A pull killed just after the version appeared leaves the one before it, whole, beside the target.
            sweep_beside(dest)
            return dest, 0
        plan = plan_of(dest.name, self.resolved.digest, files)
        with prepare_target(dest, plan) as staging:
            missing = self._link(files, staging) if self.options.hard_link else files
            fetched_bytes = self._fetch(missing, Nearby(staging, plan, self._sources(missing, there, dest)))
            if self.options.hard_link:
                self._adopt(missing, staging)
            self._publish(staging, files)
        sweep_beside(dest)
        return dest, fetched_bytes

    def into_cache(self, files: Sequence[RemoteFile]) -> tuple[Path, int]:
        """Make the cache hold these files of the version at least; return its directory and the bytes fetched."""
        registry = self.session.registry.registry
        model = f"{self.resolved.model.namespace}/{self.resolved.model.name}"
        path = self.cache.version_path(registry, model, self.resolved.digest)
        there = inspect_target(path)
        held = set(recorded_files(there.receipt)) if isinstance(there, Ours) else set()
        if held >= {file.path for file in files} and isinstance(there, Ours):
            self.cache.find_version(registry, model, self.resolved.digest)
            return path, 0
        wanted = {file.path for file in files} | held
        union = [file for file in _remote_files(self.resolved) if file.path in wanted]
        plan = plan_of(path.name, self.resolved.digest, union)
        with prepare_target(path, plan) as staging:
            missing = self._link(union, staging)
            fetched_bytes = self._fetch(missing, Nearby(staging, plan, self._sources(missing, there, path)))
            self._adopt(missing, staging)
            self._publish(staging, union)
        sweep_beside(path)
        return path, fetched_bytes

    def _is_there(self, there: TargetState, files: Sequence[RemoteFile]) -> bool:
        if isinstance(there, Absent) or not isinstance(there, Ours):
            return False
        recorded = recorded_files(there.receipt)
        return there.receipt["manifest"] == self.resolved.digest and recorded == {f.path: f.sha256 for f in files}

    def _link(self, files: Sequence[RemoteFile], staging: Staging) -> Sequence[RemoteFile]:
        return self.cache.fill(files, staging.directory, stop=self.options.stop)

    def _adopt(self, files: Sequence[RemoteFile], staging: Staging) -> None:
        verified = self.options.verify == "sha256"
        self.cache.adopt(files, staging.directory, chunks_are_verified=verified, stop=self.options.stop)

    def _sources(self, files: Sequence[RemoteFile], there: TargetState, dest: Path) -> list[Source]:
        """Return where on this machine bytes of these files may lie: at the target, and in the cache."""
        sources = [blobs_of(self.cache)]
        if isinstance(there, Ours):
            sources.insert(0, version_in(dest, self._older_files(files, there)))
        if _has_new_chunks(files, lambda sha256: self.cache.find(sha256) is not None):
            registry, model = self.session.registry.registry, str(self.resolved.model)
            older = [path for path in self.cache.find_versions(registry, model) if path != dest]
            for path in older[:MAX_CACHED_VERSIONS_READ]:
                cached = inspect_target(path)
                if isinstance(cached, Ours):
                    sources.append(version_in(path, self._older_files(files, cached)))
        return sources

    def _older_files(self, files: Sequence[RemoteFile], older: Ours) -> dict[str, OlderFile]:
        """Return what a receipt records, with the chunks that the manifest names, if that can still be read."""
        recorded = recorded_files(older.receipt)
        known = {path: OlderFile(sha256) for path, sha256 in recorded.items()}
        digests = set(recorded.values())
        ours = (self.session.registry.registry, str(self.resolved.model))
        if (older.receipt.get("registry"), older.receipt.get("model")) != ours:
            return known
        if not _has_new_chunks(files, digests.__contains__):
            return known
        try:
            manifest = load_manifest(self.session, self.resolved.model, parse_digest(str(older.receipt["manifest"])))
        except BucketryError:
            return known  # deleted since, or not to be read now: then those chunks are fetched
        for artifact in manifest.artifacts:
            if recorded.get(artifact.path) == artifact.sha256:
                known[artifact.path] = OlderFile(artifact.sha256, artifact.chunks.size_bytes, artifact.chunks.sha256)
        return known

    def _slices(self) -> Slices | None:
        if self.options.processes == 1:
            return None
        if self.session.profile is None:
            raise UnsupportedError("this registry was opened in a way that other processes cannot repeat")
        from bucketry.transfer.processes import Slices  # noqa: PLC0415 - one process needs no pipes

        return Slices(self.options.processes, partial(open_store, self.session.profile))

    def _fetch(self, files: Sequence[RemoteFile], nearby: Nearby) -> int:
        try:
            fetched = fetch(
                self.session.store,
                files,
                nearby.staging.directory,
                verify=self.options.verify,
                connections=self.options.connections,
                limit_bytes_per_second=self.options.limit_bytes_per_second,
                progress=self.options.on_transfer,
                stop=self.options.stop,
                nearby=nearby,
                slices=self._slices(),
            )
        except PreconditionFailedError as error:
            raise CorruptError(error.message, advice="blobs are never replaced: run `bucketry fsck --deep`") from error
        return fetched.fetched_bytes

    def _publish(self, staging: Staging, files: Sequence[RemoteFile]) -> None:
        resolved = self.resolved
        write_receipt(
            staging,
            {
                "format": 1,
                "registry": self.session.registry.registry,
                "source": self.session.store.name,
                "model": str(resolved.model),
                "version": resolved.version,
                "manifest": resolved.digest,
                "alias": resolved.alias,
                "generation": resolved.generation,
                "files": {file.path: file.sha256 for file in files},
                "size_bytes": sum(file.size_bytes for file in files),
                "complete": len(files) == len(resolved.manifest.artifacts),
                "verify": self.options.verify,
                "pulled_at": self.session.ports.timestamp(),
            },
        )
        publish_target(staging)


def _has_new_chunks(files: Sequence[RemoteFile], is_known: Callable[[str], bool]) -> bool:
    """Return whether a file of several chunks is not known as a whole, so that its chunks are worth a search."""
    return any(len(file.chunk_sha256) > 1 and not is_known(file.sha256) for file in files)


def _select(resolved: ResolvedVersion, options: PullOptions) -> list[RemoteFile]:
    files = [
        file
        for file in _remote_files(resolved)
        if (not options.include or any(fnmatchcase(file.path, glob) for glob in options.include))
        and not any(fnmatchcase(file.path, glob) for glob in options.exclude)
    ]
    if not files:
        raise NotFoundError(
            f"no file of {resolved.model}:{resolved.version} matches",
            advice="see its files with `bucketry show`",
        )
    return files


def _remote_files(resolved: ResolvedVersion) -> list[RemoteFile]:
    blob_keys = resolved.blob_keys()
    return [
        RemoteFile(
            path=artifact.path,
            key=blob_keys[artifact.path],
            size_bytes=artifact.size_bytes,
            sha256=artifact.sha256,
            chunk_size_bytes=artifact.chunks.size_bytes,
            chunk_sha256=artifact.chunks.sha256,
            chunk_xxh3_128=artifact.chunks.xxh3_128,
        )
        for artifact in resolved.manifest.artifacts
    ]
