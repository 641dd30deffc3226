"""Notices where an alias goes back to something older than what was seen here before.

An old register is as well signed as a new one. So the highest generation that was seen is kept on disk, with the
digest of its audit record; what comes later must continue that very chain, record by record. That also refuses a leap
to a generation so high that no honest register could follow. A version that was once refused here stays refused,
whatever the bucket forgets; so does one of which a record on the way says that the alias was told of its refusal. What
remains open: the first contact believes what it is shown, and a bucket that shows nothing new cannot be told from one
where nothing happened; an approval that expires, and `lowest_generation`, bound that.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, CorruptError, RejectedError
from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, LARGEST_DOCUMENT_BYTES, Fields, decode, encode
from bucketry.schema.documents.audit import AuditAction, target_version
from bucketry.schema.documents.states import State
from bucketry.schema.names import Digest, parse_digest
from bucketry.user_folders import need_home

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bucketry.schema.documents.audit import Record, Trail
    from bucketry.schema.names import AliasName, ModelName

_CANNOT_SYNC_FOLDERS = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS})
"""What CIFS and several FUSE file systems say of a folder: they do it by themselves, or not at all."""
MOST_RECORDS_WALKED = 4_096
"""How many commits of an alias may lie between two looks; more means that the file must be removed by hand."""
FURTHEST_FIRST_GENERATION = 1_000_000
"""At the first contact nothing can be compared, but no alias moves a million times."""
MOST_REFUSALS_KEPT = 1_024
MOST_REFUSED_VERSIONS = 16_384
"""Of one alias. Beyond that nothing is believed: dropping one would let a refusal be pushed out."""


class RollbackError(RejectedError):
    """The alias's register is older than one that was seen here, or does not continue it."""


@frozen
class SeenGeneration:
    """What was seen of an alias: its highest generation, that record's digest, and what was refused.

    `refused` are manifests that a trusted reviewer refused; `refused_versions` those that the alias was told of.
    """

    generation: int
    tip: Digest
    refused: tuple[Digest, ...] = ()
    refused_versions: tuple[int, ...] = ()


@frozen
class GenerationMemory:
    """A folder with one small file for each alias that was ever resolved strictly on this machine."""

    folder: Path

    def advance(
        self, registry: str, model: ModelName, alias: AliasName, trail: Trail, records_back: Iterable[Record]
    ) -> SeenGeneration:
        """Remember the register as seen, if it continues what was; return what is known of the alias now.

        `records_back` yields its audit records, newest first, and is read only as far as needed. Raises
        `RollbackError`, or `RejectedError` where nothing can be remembered.
        """
        with self._locked(registry, model, alias) as path:
            before = _find(path)
            what = f"{model}@{alias}"
            told = check_continues(before, trail, records_back, what=what, path=path)
            before_versions = before.refused_versions if before else ()
            versions = tuple(sorted({*before_versions, *told}))
            if len(versions) > MOST_REFUSED_VERSIONS:
                raise RejectedError(f"{what} was told that {len(versions):,} versions were refused")
            now = SeenGeneration(trail.generation, trail.tip, before.refused if before else (), versions)
            if now != before:
                _save(path, now)
            return now

    def remember_refusal(self, registry: str, model: ModelName, alias: AliasName, manifest: Digest) -> None:
        """Remember that a reviewer who is trusted here refused the manifest: that never ends."""
        with self._locked(registry, model, alias) as path:
            seen = _find(path)
            if seen is not None and manifest not in seen.refused:
                _save(path, replace(seen, refused=(*seen.refused, manifest)[-MOST_REFUSALS_KEPT:]))

    @contextmanager
    def _locked(self, registry: str, model: ModelName, alias: AliasName) -> Iterator[Path]:
        """Yield the alias's file while no other process reads or writes it."""
        name = hashlib.sha256(f"{registry}\n{model.namespace}\n{model.name}\n{alias}".encode()).hexdigest()
        try:
            for folder in reversed([self.folder, *self.folder.parents]):
                if not folder.is_dir():  # for its owner alone, however much the umask would allow
                    folder.mkdir(mode=0o700, exist_ok=True)
            lock_path = self.folder / f"{name}.lock"
            with open(lock_path, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield self.folder / f"{name}.json"
        except OSError as error:
            raise RejectedError(
                f"the generations seen before cannot be kept in {self.folder}: {error.strerror or error}",
                advice="set BUCKETRY_STATE to a folder that may be written and is kept",
            ) from error


def default_state_folder(environment: Mapping[str, str], home: Path | None = None) -> Path:
    """Return where generations are kept: `BUCKETRY_STATE`, else below `XDG_STATE_HOME` or `~/.local/state`.

    Raises `UsageError` where it needs the user's home folder, which is `home` if that is given, and there is none.
    """
    given = environment.get("BUCKETRY_STATE")
    if given:
        return Path(given) / "generations"
    base = environment.get("XDG_STATE_HOME")
    if base:
        return Path(base) / "bucketry" / "generations"
    home = home or need_home("what is remembered between two runs", "set BUCKETRY_STATE to a folder that is kept")
    return home / ".local" / "state" / "bucketry" / "generations"


def is_told_refusal(record: Record) -> bool:
    """Return whether an alias's record says that it was told of a refusal of the version that it named."""
    return record.action == AuditAction.UPDATE_STATE and record.detail.get("state") == State.REJECTED


def check_continues(
    before: SeenGeneration | None, trail: Trail, records_back: Iterable[Record], *, what: str, path: Path
) -> frozenset[int]:
    """Return the versions that the records walked call rejected.

    Raises `RollbackError` unless a register's audit trail continues what was seen, and is a chain in itself.
    """
    advice = f"run `bucketry audit --verify`; if the bucket was restored on purpose, remove {path}"
    generation = trail.generation
    if before is None:
        if generation > FURTHEST_FIRST_GENERATION:
            raise RollbackError(f"{what} claims generation {generation:,}, which no alias reaches", advice=advice)
        return _walk(records_back, down_to=trail.records[0].generation, what=what, advice=advice).refused_versions
    if generation < before.generation:
        raise RollbackError(
            f"rollback of the bucket: {what} is at generation {generation}, and generation {before.generation} "
            "was seen here before",
            advice=advice,
        )
    if generation - before.generation > MOST_RECORDS_WALKED:
        raise RollbackError(f"{what} leaps from generation {before.generation:,} to {generation:,}", advice=advice)
    down_to = min(before.generation, trail.records[0].generation)
    walked = _walk(records_back, down_to=down_to, until=before.generation, what=what, advice=advice)
    if walked.reached != before.tip:
        raise RollbackError(
            f"the history of {what} was rewritten: generation {before.generation} is not what was seen here before",
            advice=advice,
        )
    return walked.refused_versions


@frozen
class _WalkOutcome:
    """The digest of the record that was looked for, and the versions that records on the way call rejected."""

    reached: Digest | None
    refused_versions: frozenset[int]


def _walk(
    records_back: Iterable[Record], *, down_to: int, what: str, advice: str, until: int | None = None
) -> _WalkOutcome:
    """Check the chain from the newest record down to a generation; `until` is the record whose digest is wanted."""
    newer: Record | None = None
    reached: Digest | None = None
    refused: set[int] = set()
    for record in records_back:  # bounded: ends at `down_to`, at most MOST_RECORDS_WALKED below the newest
        digest = record.digest
        if newer is not None and newer.previous != digest:
            raise RollbackError(
                f"the history of {what} is broken: generation {newer.generation} does not follow from the one before",
                advice=advice,
            )
        version = target_version(record, what=what)
        if version is not None and is_told_refusal(record):
            refused.add(version)
        if record.generation == until:
            reached = digest
        if record.generation <= down_to:
            break
        newer = record
    return _WalkOutcome(reached, frozenset(refused))


def _find(path: Path) -> SeenGeneration | None:
    try:
        with path.open("rb") as file:
            body = file.read(LARGEST_DOCUMENT_BYTES + 1)  # the decoder refuses what is over the limit
    except FileNotFoundError:
        return None
    try:
        fields = Fields(decode(body, what=str(path)), what=str(path))
        refused = tuple(parse_digest(text) for text in fields.items("refused", most=MOST_REFUSALS_KEPT))
        versions = tuple(fields.items("refused_versions", most=MOST_REFUSED_VERSIONS))
        if any(type(number) is not int for number in versions):
            raise CorruptError("a refused version is no number")
        return SeenGeneration(fields.integer("generation", least=1), fields.digest("tip"), refused, versions)
    except (BucketryError, TypeError) as error:
        raise CorruptError(
            f"{path} does not say which generation was seen", advice=f"look why, then remove {path}"
        ) from error


def _save(path: Path, seen: SeenGeneration) -> None:
    """Replace the file at once, so that a crash leaves the old one or the new one."""
    body = encode(
        {
            "format": FORMAT,
            "generation": seen.generation,
            "tip": seen.tip,
            "refused": list(seen.refused),
            "refused_versions": list(seen.refused_versions),
        }
    )
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.stem, delete=False) as file:
        try:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC_FOLDERS:
            raise
    finally:
        os.close(folder)
