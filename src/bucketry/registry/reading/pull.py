"""Brings a version to this machine, complete and verified, or not at all.

To a target: absent or empty, it appears; the same version there, unchanged by the sizes and times of its files, nothing
is done; another version that a pull made, or a changed one, it is replaced at once; anything else, be it one file that
no pull put there, is refused and untouched. Without a target the version's directory in the node's cache is filled and
returned. Only bytes that somebody here has verified are reused, and they are hashed again.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bucketry.errors import (
    BucketryError,
    CorruptError,
    NotFoundError,
    RejectedError,
    UnavailableError,
    UsageError,
)
from bucketry.frozen import frozen
from bucketry.registry.core.opening import open_store
from bucketry.registry.core.resolve import load_manifest, missing_file, resolve
from bucketry.registry.review.refusals import check_not_refused, check_not_refused_meanwhile, load_refusals
from bucketry.schema.names import ByAlias, parse_digest
from bucketry.store.contract import ObjectNotFoundError, PreconditionFailedError
from bucketry.store.places import served_by
from bucketry.transfer.disk.cache import Cache
from bucketry.transfer.disk.cache_place import check_place, default_cache_root, is_ours
from bucketry.transfer.disk.receipt import Foreign, Incomplete, Ours, inspect_target, write_receipt
from bucketry.transfer.disk.target import prepare_target, publish_target, sweep_beside
from bucketry.transfer.down.download import LocalSources, fetch
from bucketry.transfer.down.remote import RemoteFile, plan_of
from bucketry.transfer.down.repair import find_wrong, keep_right
from bucketry.transfer.down.reuse import OlderFile, Source, blobs_of, version_in
from bucketry.transfer.plan import TransferOptions
from bucketry.user_folders import find_home

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.registry.core.resolved import Refusal, ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import Reference
    from bucketry.transfer.disk.receipt import TargetState
    from bucketry.transfer.disk.staging import Staging

Verified = Literal["sha256", "fast", "sizes_and_times"]

MAX_CACHED_VERSIONS_READ = 2
"""How many cached versions of the model are asked for equal chunks: each costs one read of a manifest."""


@frozen
class PullOptions(TransferOptions):
    """How a version is pulled. Patterns are shell globs over whole paths; `*` also matches `/`.

    `rehash` reads a version that is there already, too, where else the sizes and times of its files are enough.
    `hard_link` lets a target share its files, which become read-only, with the cache, which then holds them too.
    `allow_rejected` brings what an alias names although somebody refused it; a trust file is asked all the same.
    `cache` brings a version to the cache and from there to the target, so that the pulls of one node fetch it once.
    `on_wait` is called when another process is found to bring the same version to the cache, before that is waited for.
    """

    rehash: bool = False
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    hard_link: bool = False
    allow_rejected: bool = False
    cache: bool = False
    on_wait: Callable[[], None] | None = None


@frozen
class PulledVersion:
    """Where a version is now, how much had to be moved for it, and how it was verified.

    Where it was there already, `verify` is `sha256` only if it was hashed again, else `sizes_and_times`. `refusals` say
    who refused it, where somebody did.
    """

    path: Path
    resolved: ResolvedVersion
    size_bytes: int
    fetched_bytes: int
    reused_bytes: int
    seconds: float
    verify: Verified
    refusals: tuple[Refusal, ...] = ()


def open_cache() -> Cache:
    """Return this user's cache: `BUCKETRY_CACHE`, else below `XDG_CACHE_HOME` or `~/.cache`.

    Raises `UsageError` where none of these is known.
    """
    return Cache(default_cache_root(os.environ))


def pull(
    session: Session, reference: Reference, dest: Path | None = None, options: PullOptions | None = None
) -> PulledVersion:
    """Bring a version to `dest`, or into the cache; raise `RejectedError` for a `dest` that holds anything else.

    So does an alias that names a version which was refused, also where that is here already, unless `allow_rejected`.
    Where a file turns out to be gone (collected after the alias had moved on), an alias is resolved once more. In
    strict mode `RejectedError` says why a version is not trusted, and what is there already is hashed again: whoever
    verified it may have trusted more.
    """
    options = options or PullOptions()
    if session.strict is not None:
        session.strict.check_verification(options.verify)
    resolved = resolve(session, reference)
    try:
        return pull_resolved(session, resolved, dest, options)
    except ObjectNotFoundError as error:
        again = resolve(session, reference) if isinstance(reference.selector, ByAlias) else resolved
        if (again.digest, again.placement) == (resolved.digest, resolved.placement):
            raise missing_file(session, resolved) from error
        return pull_resolved(session, again, dest, options)


def pull_resolved(
    session: Session, resolved: ResolvedVersion, dest: Path | None, options: PullOptions
) -> PulledVersion:
    """Bring a version that was resolved, as `pull` does; raise `ObjectNotFoundError` where a file of it is gone."""
    if session.strict is not None:
        session.strict.check_verification(options.verify)
        options = replace(options, rehash=True)
    check_not_refused(resolved, allow_rejected=options.allow_rejected)
    session.check_believed()
    started_seconds = time.monotonic()
    try:
        cache = open_cache()
    except UsageError:
        if dest is None or options.cache or options.hard_link or find_home() is not None:
            raise
        cache = Cache(Path(os.devnull))  # for whoever can do without: one in which nothing is ever found
    work = _Pull(session, resolved, options, cache)
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
    brought = work.into_cache(files) if dest is None else work.into_target(files, dest)
    size_bytes = sum(file.size_bytes for file in files)
    return PulledVersion(
        path=brought.path,
        resolved=resolved,
        size_bytes=size_bytes,
        fetched_bytes=brought.fetched_bytes,
        reused_bytes=max(0, size_bytes - brought.fetched_bytes),
        seconds=time.monotonic() - started_seconds,
        verify=brought.verify,
        refusals=load_refusals(session, resolved),
    )


@frozen
class _PullOutcome:
    path: Path
    fetched_bytes: int
    verify: Verified


@frozen
class _Pull:
    session: Session
    resolved: ResolvedVersion
    options: PullOptions
    cache: Cache

    def into_target(self, files: Sequence[RemoteFile], dest: Path) -> _PullOutcome:
        """Make `dest` hold exactly these files."""
        there = inspect_target(dest)
        if isinstance(there, Foreign):
            raise there.rejection()
        self._check_not_back(there)
        cached = self.into_cache(files, self._at_target(files, there, dest)) if self.options.cache else None
        fetched_bytes = cached.fetched_bytes if cached else 0
        if isinstance(there, Ours) and len(there.receipt.files) == len(files) and self._is_right(there, files, dest):
            # A pull killed just after the version appeared leaves the one before it, whole, beside the target.
            sweep_beside(dest)
            return replace(self._already_at(dest), fetched_bytes=fetched_bytes)
        plan = plan_of(dest.name, self.resolved.digest, files)
        with prepare_target(dest, plan, there) as staging:
            missing = files
            if self.options.hard_link:
                missing = self.cache.fill(files, staging.directory, stop=self.options.stop)
            not_kept = self._keep(missing, there, dest, staging)
            fetched_bytes += self._fetch(not_kept, LocalSources(staging, plan, self._sources(not_kept, there, dest)))
            if self.options.hard_link:
                self._adopt(missing, staging)
            self._publish(staging, files, there)
        sweep_beside(dest)
        return _PullOutcome(dest, fetched_bytes, self.options.verify)

    def into_cache(self, files: Sequence[RemoteFile], nearby: Sequence[Source] = ()) -> _PullOutcome:
        """Make the cache hold these files of the version at least, in a folder of it."""
        path = self.cache.version_path(*self._cached_as, self.resolved.digest)
        check_place(self.cache.root, path)
        found = self._find_cached(path, files)
        if found is not None:
            return found
        with self.cache.bringing(path, stop=self.options.stop, on_wait=self.options.on_wait or (lambda: None)):
            found = self._find_cached(path, files)
            if found is not None:
                return found
            there = inspect_target(path)
            if isinstance(there, Foreign):
                raise RejectedError(
                    f"{there.reason}, so it is left untouched",
                    advice="move away what is yours, then run `bucketry cache verify`, which removes the rest",
                )
            wanted = {file.path for file in files} | (there.receipt.files.keys() if isinstance(there, Ours) else set())
            union = [file for file in _remote_files(self.resolved) if file.path in wanted]
            plan = plan_of(path.name, self.resolved.digest, union)
            with prepare_target(path, plan, there) as staging:
                missing = self.cache.fill(union, staging.directory, stop=self.options.stop)
                sources = [*self._sources(missing, there, path), *nearby]
                fetched_bytes = self._fetch(missing, LocalSources(staging, plan, sources))
                self._adopt(missing, staging)
                self._publish(staging, union, there)
            sweep_beside(path)
            return _PullOutcome(path, fetched_bytes, self.options.verify)

    @property
    def _cached_as(self) -> tuple[str, str]:
        model = self.resolved.model
        return self.session.registry.registry, f"{model.namespace}/{model.name}"

    def _find_cached(self, path: Path, files: Sequence[RemoteFile]) -> _PullOutcome | None:
        """Return the version in the cache if it is there and right: its bytes, not what they look like."""
        there = inspect_target(path)
        if not isinstance(there, Ours) or not is_ours(path, [file.path for file in files]):
            return None
        if not self._is_right(there, files, path, rehash=True):
            return None
        self.cache.find_version(*self._cached_as, self.resolved.digest)
        return self._already_at(path, is_hashed=True)

    def _check_not_back(self, there: TargetState) -> None:
        """Raise where a replica answered, and what it says the alias names is older than what was pulled before."""
        place, resolved = served_by(self.session.store), self.resolved
        if place == self.session.store.name or not isinstance(there, Ours) or resolved.generation is None:
            return
        about = there.receipt.about
        before = about.get("generation")
        is_same = (there.receipt.model, about.get("alias")) == (str(resolved.model), resolved.alias)
        if is_same and isinstance(before, int) and before > resolved.generation:
            raise UnavailableError(
                f"{place}, a replica, has {resolved.model}@{resolved.alias} at generation {resolved.generation:,}, and "
                f"what is here was pulled at generation {before:,}",
                advice="try again when the first place of the registry answers; what is here was left as it is",
            )

    def _is_right(self, there: Ours, files: Sequence[RemoteFile], directory: Path, *, rehash: bool = False) -> bool:
        """Tell whether a folder holds these files of this version, unchanged; if asked to, by hashing them."""
        recorded = there.receipt.files
        return (
            there.receipt.manifest == self.resolved.digest
            and not there.changed
            and all(
                file.path in recorded
                and (recorded[file.path].sha256, recorded[file.path].size_bytes) == (file.sha256, file.size_bytes)
                for file in files
            )
            and not ((rehash or self.options.rehash) and find_wrong(directory, files, stop=self.options.stop))
        )

    def _already_at(self, path: Path, *, is_hashed: bool = False) -> _PullOutcome:
        self._judge_again()
        return _PullOutcome(path, 0, "sha256" if is_hashed or self.options.rehash else "sizes_and_times")

    def _judge_again(self) -> None:
        """Raise if the version was refused, or the alias moved, while bytes were verified."""
        if self.session.strict is not None:
            self.session.strict.check_again(self.session, self.resolved)

    def _keep(
        self, files: Sequence[RemoteFile], there: TargetState, dest: Path, staging: Staging
    ) -> Sequence[RemoteFile]:
        """Keep what is right of the same version, which somebody changed; return the files that are to be brought.

        Within a folder that cannot be replaced, also what is right of another version, or of one that was not finished:
        there it saves the room for a second copy.
        """
        if isinstance(there, Ours) and there.receipt.manifest == self.resolved.digest:
            kept = files
        elif staging.is_within and isinstance(there, Ours | Incomplete):
            recorded = there.receipt.digests if isinstance(there, Ours) else there.files
            kept = [file for file in files if recorded.get(file.path) == file.sha256]
        else:
            return files
        not_right = keep_right(dest, kept, staging.directory, stop=self.options.stop)
        right = {file.path for file in kept} - {file.path for file in not_right}
        return [file for file in files if file.path not in right]

    def _adopt(self, files: Sequence[RemoteFile], staging: Staging) -> None:
        verified = self.options.verify == "sha256"
        self.cache.adopt(files, staging.directory, chunks_are_verified=verified, stop=self.options.stop)

    def _sources(self, files: Sequence[RemoteFile], there: TargetState, dest: Path) -> list[Source]:
        """Return where on this machine bytes of these files may lie: at the target, and in the cache."""
        sources = self._at_target(files, there, dest)
        if self.cache.holds_any(file.sha256 for file in files):
            sources.append(blobs_of(self.cache))
        if _has_new_chunks(files, lambda sha256: self.cache.find(sha256) is not None):
            older = [path for path in self.cache.find_versions(*self._cached_as) if path != dest]
            for path in older[:MAX_CACHED_VERSIONS_READ]:
                cached = inspect_target(path)
                if isinstance(cached, Ours):
                    sources.append(version_in(path, self._older_files(files, cached)))
        return sources

    def _at_target(self, files: Sequence[RemoteFile], there: TargetState, dest: Path) -> list[Source]:
        if isinstance(there, Ours):
            return [version_in(dest, self._older_files(files, there))]
        if isinstance(there, Incomplete):
            return [version_in(dest, {path: OlderFile(sha256) for path, sha256 in there.files.items()})]
        return []

    def _older_files(self, files: Sequence[RemoteFile], older: Ours) -> dict[str, OlderFile]:
        """Return what a receipt records, with the chunks that the manifest names, if that can still be read."""
        recorded = older.receipt.digests
        known = {path: OlderFile(sha256) for path, sha256 in recorded.items()}
        digests = set(recorded.values())
        ours = (self.session.registry.registry, str(self.resolved.model))
        if (older.receipt.registry, older.receipt.model) != ours:
            return known
        if not _has_new_chunks(files, digests.__contains__):
            return known
        try:
            manifest = load_manifest(self.session, self.resolved.model, parse_digest(older.receipt.manifest))
        except BucketryError:
            return known  # deleted since, or not to be read now: then those chunks are fetched
        for artifact in manifest.artifacts:
            if recorded.get(artifact.path) == artifact.sha256:
                known[artifact.path] = OlderFile(artifact.sha256, artifact.chunks.size_bytes, artifact.chunks.sha256)
        return known

    def _fetch(self, files: Sequence[RemoteFile], nearby: LocalSources) -> int:
        try:
            fetched = fetch(
                self.session.store,
                files,
                nearby.staging.directory,
                self.options,
                nearby=nearby,
                open_store=partial(open_store, self.session.profile) if self.session.profile else None,
            )
        except PreconditionFailedError as error:
            raise CorruptError(error.message, advice="blobs are never replaced: run `bucketry fsck --deep`") from error
        return fetched.fetched_bytes

    def _publish(self, staging: Staging, files: Sequence[RemoteFile], there: TargetState) -> None:
        resolved = self.resolved
        write_receipt(
            staging.directory,
            {file.path: file.sha256 for file in files},
            {
                "registry": self.session.registry.registry,
                "source": served_by(self.session.store),
                "model": str(resolved.model),
                "version": resolved.version,
                "manifest": resolved.digest,
                "alias": resolved.alias,
                "generation": resolved.generation,
                "size_bytes": sum(file.size_bytes for file in files),
                "complete": len(files) == len(resolved.manifest.artifacts),
                "verify": self.options.verify,
                "trust": self.session.strict is not None,
                "pulled_at": self.session.clock.timestamp(),
            },
        )
        self._judge_again()
        if self.session.strict is None and not self.options.allow_rejected:
            check_not_refused_meanwhile(self.session, resolved)
        # What we looked at was not right, though it may look so: only another folder than that can have become right.
        distrusted = there if isinstance(there, Ours) else None
        publish_target(staging, distrusted=distrusted, stop=self.options.stop)


def _has_new_chunks(files: Sequence[RemoteFile], is_known: Callable[[str], bool]) -> bool:
    """Return whether a file of several chunks is not known as a whole, so that its chunks are worth a search."""
    return any(len(file.chunk_sha256) > 1 and not is_known(file.sha256) for file in files)


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
