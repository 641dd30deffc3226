"""Find the version that a reference means, and read what it is.

`name@alias` costs two reads (the alias, the manifest); any other reference costs the head, a sealed page where the
version is old, and the manifest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, CorruptError, NotFoundError, RejectedError, UsageError
from bucketry.registry.core.registers import load_alias, load_existing_alias, load_existing_head, not_set
from bucketry.registry.core.resolved import ResolvedVersion
from bucketry.registry.core.rows import find_row_by_manifest, iter_rows, load_added_evidence, load_dossier, load_row
from bucketry.registry.review.refusals import carried_refusals
from bucketry.schema import keys
from bucketry.schema.documents.manifest import decode_manifest
from bucketry.schema.documents.states import State
from bucketry.schema.names import ByAlias, ByManifest, ByVersion, Latest, Newest

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.evidence import Evidence
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.manifest import Manifest
    from bucketry.schema.names import AliasName, Digest, ModelName, Reference, Selector


def resolve(session: Session, reference: Reference) -> ResolvedVersion:
    """Return what a reference names now; raise `NotFoundError`, in strict mode `RejectedError` for the untrusted."""
    if session.strict is not None:
        return session.strict.resolve(session, reference)
    model = reference.model
    if not isinstance(reference.selector, ByAlias):
        head = load_existing_head(session, model)
        return resolved_row(session, head, select_row(session, head, reference.selector))
    alias = reference.selector.alias
    # Whoever goes on to bytes, a list or a change reads `registry.json` too, and is told there whose the alias is.
    register = load_existing_alias(session, model, alias, compares_later=True)
    target = register.target
    if target is None:
        raise not_set(model, alias)
    try:
        manifest = load_manifest(session, model, target.manifest)
    except CorruptError:
        session.check_believed()  # that the alias is another registry's is the better explanation
        raise
    return ResolvedVersion(
        model=model,
        version=target.version,
        digest=target.manifest,
        state=target.state,
        placement=target.placement,
        manifest=manifest,
        alias=alias,
        generation=register.generation,
        refusals=carried_refusals(register),
    )


def resolve_explicit(session: Session, reference: Reference) -> ResolvedVersion:
    """Return what a reference names that whoever changes or removes a version wrote; see `check_explicit`."""
    check_explicit(session, reference)
    return resolve(session, reference)


def check_explicit(session: Session, reference: Reference) -> None:
    """Raise `UsageError` for a model's name alone, with the version that it means now.

    To read the newest version by the bare name is handy. To change or remove whatever is the newest by then is a slip.
    """
    if not isinstance(reference.selector, Newest):
        return
    model = reference.model
    head = load_existing_head(session, model)
    try:
        version = select_row(session, head, reference.selector).version
    except NotFoundError:
        raise UsageError(f"{model} names no version, and has none", advice="publish one first") from None
    raise UsageError(
        f"{model} names a model, not a version of it",
        advice=f"{model} means {model}:{version} now; if that is the one, say so: {model}:{version}, or {model}@latest",
    )


def resolve_at(session: Session, reference: Reference, at: str) -> ResolvedVersion:
    """Return what an alias named at a moment (RFC 3339 in UTC, with milliseconds); raise `NotFoundError`.

    `generation` is the one that the alias had then.
    """
    if not isinstance(reference.selector, ByAlias):
        return resolve(session, reference)
    if session.strict is not None:
        raise RejectedError("the trust file says what may be served now, not what could be served in the past")
    model, alias = reference.model, reference.selector.alias
    from bucketry.registry.serving.alias_history import find_target_at  # noqa: PLC0415 - only questions about the past need it

    event = find_target_at(session, model, alias, at)
    if event is None or event.target is None:
        raise NotFoundError(f"{model}@{alias} named nothing at {at}", advice="see `bucketry aliases --history`")
    head = load_existing_head(session, model)
    return resolved_row(session, head, load_row(session, head, event.target), alias, event.generation)


def load_version_number(session: Session, reference: Reference) -> int:
    """Return the number of the version that a reference names, as `resolve` does, without reading its manifest.

    For what is done to a version whatever is in it: to refuse, retire or delete one must not depend on its bytes. It
    must be named, though: see `check_explicit`. A number is taken as it is: whoever acts on it reads the head, and
    decides on what that says.
    """
    check_explicit(session, reference)
    if session.strict is not None:
        return resolve(session, reference).version
    if isinstance(reference.selector, ByVersion):
        return reference.selector.version
    if isinstance(reference.selector, ByAlias):
        register = load_alias(session, reference.model, reference.selector.alias).state
        if register is not None and register.target is not None:
            return register.target.version
    head = load_existing_head(session, reference.model)
    return select_row(session, head, reference.selector).version


def missing_file(session: Session, resolved: ResolvedVersion, besides: str = "") -> BucketryError:
    """Return the error for a version of which a file is not in the store: lost, or in a replica not selected."""
    what = f"a file of {resolved.model}:{resolved.version}{besides and f' {besides}'}"
    replica = session.registry.replica
    if replica is None:
        return CorruptError(f"{what} is missing in the store", advice="run `bucketry fsck`")
    return NotFoundError(
        f"{what} is not here: {session.store.name} is a replica that holds {replica.selection}",
        advice=f"take it from the source: --registry {replica.source}",
    )


def load_manifest(session: Session, model: ModelName, digest: Digest) -> Manifest:
    """Return a manifest by its digest; its raw bytes are verified before they are parsed."""

    def decode() -> Manifest:
        body = session.load_manifest_bytes(model, digest)
        return decode_manifest(body, what=keys.manifest(model, digest), model=model)

    return session.documents.manifest(str(model), digest, decode)


def load_evidence(session: Session, head: Head, row: Row) -> tuple[Evidence, ...]:
    """Return a version's evidence in the order in which it was recorded."""
    published = load_manifest(session, head.model, row.manifest).evidence_at_publish
    return (*published, *load_added_evidence(session, load_dossier(session, head, row)))


def resolved_row(
    session: Session,
    head: Head,
    row: Row,
    alias: AliasName | None = None,
    generation: int | None = None,
) -> ResolvedVersion:
    """Return the version of a row, with its manifest."""
    manifest = load_manifest(session, head.model, row.manifest)
    return ResolvedVersion(head.model, row.version, row.manifest, row.state, row.placement, manifest, alias, generation)


def select_row(session: Session, head: Head, selector: Selector) -> Row:
    """Return the row that a selector other than an alias names; raise `NotFoundError`."""
    match selector:
        case ByVersion(version):
            return load_row(session, head, version)
        case ByManifest(manifest):
            row = find_row_by_manifest(session, head, manifest)
            if row is None or row.state is State.DELETED:
                raise NotFoundError(f"no version of {head.model} has the manifest {manifest}")
            return row
        case Latest():
            wanted = frozenset(State) - {State.RETIRED, State.REJECTED, State.DELETING, State.DELETED}
        case Newest():
            wanted = frozenset(State) - {State.DELETED}
        case ByAlias(alias):
            register = load_alias(session, head.model, alias).state
            if register is None or register.target is None:
                raise not_set(head.model, alias)
            return load_row(session, head, register.target.version)
    for row in iter_rows(session, head):
        if row.state in wanted:
            return row
    raise NotFoundError(f"{head.model} has no version that is neither retired nor rejected nor deleted")
