"""Puts a version's files under their own names below `serve/`, by copies that the store makes.

Engines that load a folder of a bucket by themselves (vLLM, SGLang, Triton, KServe) then need no client of ours. What
they load is not fenced: no engine asks whether a version was refused. So the document that says that all is there is
written last, only where nobody refused the version, and a refusal takes it away before anything else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import ContendedError, CorruptError, NotFoundError, RejectedError
from bucketry.frozen import frozen
from bucketry.registry.core.artifacts import file_digest
from bucketry.registry.core.immutable import Immutable, put_first
from bucketry.registry.core.registers import existing_head, load_head
from bucketry.registry.core.resolve import resolve_explicit
from bucketry.registry.core.rows import load_row
from bucketry.registry.review.refusals import is_refused, load_refusals, refused_text
from bucketry.registry.serving.ready import find_ready, list_serve_folders
from bucketry.registry.serving.serving_files import choose_files
from bucketry.schema import keys
from bucketry.schema.documents.ready import Ready, ServedFile, ServingSelection, encode_ready
from bucketry.schema.documents.states import State
from bucketry.store.contract import Entry, ObjectNotFoundError
from bucketry.transfer.plan import TransferOptions
from bucketry.transfer.up.stored import StoredFile
from bucketry.transfer.up.upload import upload

if TYPE_CHECKING:
    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import Reference

MOST_TRIES = 3
"""So often a folder is looked at that others change meanwhile."""
GOING = frozenset({State.DELETING, State.DELETED})


@frozen
class MaterializedVersion:
    """Where a version's files lie under their own names; `copied_bytes` had to be copied for it, or would have to."""

    resolved: ResolvedVersion
    uri: str
    files: tuple[ServedFile, ...]
    copied_bytes: int

    @property
    def size_bytes(self) -> int:
        """The sum of all files."""
        return sum(file.size_bytes for file in self.files)


@frozen
class RemovedCopies:
    """What was removed of a version below `serve/`."""

    resolved: ResolvedVersion
    folders: tuple[str, ...]
    objects: int
    freed_bytes: int


def plan_materialize(
    session: Session, reference: Reference, selection: ServingSelection | None = None
) -> MaterializedVersion:
    """Return what `materialize` would do; raises as it does."""
    resolved = _resolve(session, reference)
    wanted = _choose(session, resolved, selection or ServingSelection())
    there = _sizes_bytes(session, wanted.folder)
    missing = [file for file in wanted.files if there.get(wanted.folder + file.path) != file.size_bytes]
    return _materialized(session, resolved, wanted, sum(file.size_bytes for file in missing))


def materialize(
    session: Session,
    reference: Reference,
    selection: ServingSelection | None = None,
    options: TransferOptions | None = None,
) -> MaterializedVersion:
    """Make a version's files lie under their own names, and then say so; what is there already is not copied again.

    Raises `UsageError` for a model's name alone, `RejectedError` for a version that somebody refused, also by number
    and also where that happened meanwhile, and in strict mode for one that the trust file does not accept.
    """
    session.check_writable()
    resolved = _resolve(session, reference)
    wanted = _choose(session, resolved, selection or ServingSelection())
    copied_bytes = 0
    for _ in range(MOST_TRIES):
        copied_bytes += _copy(session, resolved, wanted, options or TransferOptions())
        put_first(session.store, Immutable(wanted.key, encode_ready(wanted)), clock=session.clock)
        _check_again(session, resolved, wanted)
        if find_ready(session, wanted.folder) is not None and not _wrong(wanted, _sizes_bytes(session, wanted.folder)):
            return _materialized(session, resolved, wanted, copied_bytes)
    raise ContendedError(
        f"{wanted.folder} was changed each of {MOST_TRIES} times it was filled",
        advice="see who removes it, then try again",
    )


def remove_copies(session: Session, reference: Reference) -> RemovedCopies:
    """Remove a version's files below `serve/`, in every selection; first what says that they are there."""
    session.check_writable()
    resolved = resolve_explicit(session, reference)
    folders = tuple(list_serve_folders(session, resolved.model, resolved.version))
    objects = freed_bytes = 0
    for folder in folders:
        session.store.delete(keys.ready(folder))
        sizes_bytes = _sizes_bytes(session, folder)
        session.map_in_parallel(session.store.delete, list(sizes_bytes))
        objects += len(sizes_bytes)
        freed_bytes += sum(sizes_bytes.values())
    return RemovedCopies(resolved, folders, objects, freed_bytes)


def _resolve(session: Session, reference: Reference) -> ResolvedVersion:
    resolved = resolve_explicit(session, reference)
    session.check_believed()
    _check_may_be_served(session, resolved)
    return resolved


def _check_may_be_served(session: Session, resolved: ResolvedVersion) -> None:
    refusals = load_refusals(session, resolved)
    if is_refused(resolved) or refusals:
        raise RejectedError(
            f"{refused_text(resolved, refusals)}; engines that load it could not be told",
            advice="materialize another version",
        )
    if resolved.state in GOING:
        raise RejectedError(f"{resolved.model}:{resolved.version} is {resolved.state}", advice="take another version")


def _choose(session: Session, resolved: ResolvedVersion, selection: ServingSelection) -> Ready:
    """Return what the folder is to hold: what it says itself where it is complete."""
    folder = keys.serve_folder(resolved.model, resolved.version, selection.name)
    artifacts = {
        artifact.path: ServedFile(artifact.path, artifact.size_bytes, artifact.sha256)
        for artifact in resolved.manifest.artifacts
    }
    there = find_ready(session, folder)
    if there is not None:
        is_ours = (there.manifest, there.folder) == (resolved.digest, folder)
        if not is_ours or any(artifacts.get(file.path) != file for file in there.files):
            raise CorruptError(
                f"{keys.ready(folder)} is not about the files of {resolved.model}:{resolved.version}",
                advice=f"remove it: `bucketry materialize {resolved.model}:{resolved.version} --remove`",
            )
        return there
    chosen = choose_files(tuple(artifacts), selection)
    if not chosen:
        raise NotFoundError(
            f"no file of {resolved.model}:{resolved.version} is to be served",
            advice="see its files with `bucketry show`, and name some with --include",
        )
    return Ready(
        registry=session.registry.registry,
        model=resolved.model,
        version=resolved.version,
        manifest=resolved.digest,
        selection=selection,
        files=tuple(artifacts[path] for path in chosen),
    )


def _copy(session: Session, resolved: ResolvedVersion, wanted: Ready, options: TransferOptions) -> int:
    """Copy what is not there, or has another size, which nobody must load; return how many bytes."""
    there = _sizes_bytes(session, wanted.folder)
    wrong = _wrong(wanted, there)
    if not wrong:
        return 0
    if wanted.key in there:
        session.store.delete(wanted.key)
    session.map_in_parallel(session.store.delete, [key for key in wrong if key in there])
    places = resolved.blob_keys()
    files = [
        StoredFile(
            session.store.unretried,
            places[file.path],
            wanted.folder + file.path,
            file_digest(resolved.artifact(file.path)),
            file.path,
        )
        for file in wanted.files
        if wanted.folder + file.path in wrong
    ]
    try:
        done = upload(session.store, files, options)
    except ObjectNotFoundError as error:
        raise CorruptError(
            f"a file of {resolved.model}:{resolved.version} is missing in the store", advice="run `bucketry fsck`"
        ) from error
    return sum(outcome.size_bytes for outcome in done if not outcome.already_there)


def _check_again(session: Session, resolved: ResolvedVersion, wanted: Ready) -> None:
    """Raise, and take away what says that the version is ready, if somebody refused or deleted it meanwhile."""
    try:
        if session.strict is not None:
            session.strict.check_again(session, resolved)
        head = existing_head(session, resolved.model, load_head(session, resolved.model).state)
        row = load_row(session, head, resolved.version)
        _check_may_be_served(session, replace(resolved, state=row.state, refusals=()))
    except (RejectedError, NotFoundError):
        session.store.delete(wanted.key)
        raise


def _wrong(wanted: Ready, there: dict[str, int]) -> frozenset[str]:
    """Return the keys of the files that are missing or have another size."""
    expected = {wanted.folder + file.path: file.size_bytes for file in wanted.files}
    return frozenset(key for key, size_bytes in expected.items() if there.get(key) != size_bytes)


def _sizes_bytes(session: Session, folder: str) -> dict[str, int]:
    """Return what lies in a folder, by its key."""
    listed = (item for item in session.store.list(folder) if isinstance(item, Entry))
    return {entry.key: entry.size_bytes for entry in listed}


def _materialized(session: Session, resolved: ResolvedVersion, wanted: Ready, copied_bytes: int) -> MaterializedVersion:
    uri = f"{session.store.name.rstrip('/')}/{wanted.folder.rstrip('/')}"
    return MaterializedVersion(resolved, uri, wanted.files, copied_bytes)
