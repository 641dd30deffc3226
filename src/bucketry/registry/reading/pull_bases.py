"""Brings an adapter here together with what it adapts.

An adapter is of no use without its base, which may be an adapter itself. Its manifest names each base by version and by
the SHA-256 of that version's manifest. The bases are pulled first, the last of the chain before the others, so that the
adapter appears only where all that it needs is there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, NotFoundError, RejectedError
from bucketry.frozen import frozen
from bucketry.registry.core.registers import find_head
from bucketry.registry.core.resolve import missing_file, resolve, resolved_row
from bucketry.registry.core.rows import find_row
from bucketry.registry.reading.pull import PulledVersion, PullOptions, pull_resolved
from bucketry.registry.review.refusals import check_not_refused, is_refused, load_refusals, refusal_text
from bucketry.schema.documents.states import State
from bucketry.store.contract import ObjectNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.manifest import Parent
    from bucketry.schema.names import Digest, Reference

ADAPTER = "adapter"
MOST_BASES = 16
"""How many bases are pulled with one version at most, all together."""


@frozen
class PulledBase:
    """One base that is here now, and the relation by which it was named."""

    pulled: PulledVersion
    relation: str


@frozen
class PulledFamily:
    """A version and its bases, the nearest first; none where it is no adapter."""

    pulled: PulledVersion
    bases: tuple[PulledBase, ...]


def pull_with_bases(
    session: Session, reference: Reference, dest: Path | None = None, options: PullOptions | None = None
) -> PulledFamily:
    """Bring a version to `dest` and its bases to `dest-base`, `dest-base-2` and so on; or all into the cache.

    `include` and `exclude` choose among the files of the version itself; a base is brought whole. Raises `CorruptError`
    for a base that is not what the manifest names, `NotFoundError` for one that is not in this registry. Where an alias
    names the version, a base that was refused keeps both away, unless `allow_rejected`.

    In strict mode a base needs no approvals of its own, since the approved manifest names it by digest, but whatever
    refuses it refuses both.
    """
    options = options or PullOptions()
    resolved = resolve(session, reference)
    try:
        return _pull_family(session, resolved, dest, options)
    except ObjectNotFoundError as error:
        again = resolve(session, reference)
        if again.digest == resolved.digest and again.placement == resolved.placement:
            raise missing_file(session, resolved, "or of a base of it") from error
        return _pull_family(session, again, dest, options)


def find_bases(session: Session, resolved: ResolvedVersion) -> list[tuple[ResolvedVersion, str]]:
    """Return the bases of an adapter and theirs, nearest first, each once; raise as `pull_with_bases` does."""
    found: dict[Digest, tuple[ResolvedVersion, str]] = {}
    waiting = [resolved]
    while waiting:
        version = waiting.pop(0)
        for parent in version.manifest.lineage.parents:
            if parent.relation != ADAPTER or parent.manifest in found or parent.manifest == resolved.digest:
                continue
            if len(found) == MOST_BASES:
                raise RejectedError(
                    f"{resolved.model}:{resolved.version} stands on more than {MOST_BASES} bases",
                    advice="pull them one by one; `bucketry lineage` names them",
                )
            base = _load_base(session, version, parent)
            found[parent.manifest] = base, parent.relation
            waiting.append(base)
    return list(found.values())


def _pull_family(session: Session, resolved: ResolvedVersion, dest: Path | None, options: PullOptions) -> PulledFamily:
    check_not_refused(resolved, allow_rejected=options.allow_rejected)
    bases = find_bases(session, resolved)
    if resolved.alias is not None and not options.allow_rejected:
        for base, _ in bases:  # what stands on a version that was refused is no better
            refusals = load_refusals(session, base)
            if is_refused(base) or refusals:
                raise RejectedError(
                    f"the base of {resolved.model}@{resolved.alias} is {base.model} "
                    f"{refusal_text(base.version, refusals)}",
                    advice="promote a version that stands on another base, or insist: --allow-rejected, in Python "
                    "allow_rejected=True",
                )
    whole = replace(options, include=(), exclude=())
    if session.strict is not None:
        session.strict.check_verification(options.verify)
        whole = replace(whole, rehash=True)
    # The strict session would ask each base for approvals of its own; what it forbids was asked above.
    plain = replace(session, strict=None)
    brought = [
        PulledBase(pull_resolved(plain, base, _beside(dest, step), whole), relation)
        for step, (base, relation) in reversed(list(enumerate(bases, start=1)))
    ]
    if session.strict is not None:
        find_bases(session, resolved)  # a base may have been refused while its bytes came
    pulled = pull_resolved(session, resolved, dest, options)
    return PulledFamily(pulled, tuple(reversed(brought)))


def _load_base(session: Session, child: ResolvedVersion, parent: Parent) -> ResolvedVersion:
    name, child_name = f"{parent.model}:{parent.version}", f"{child.model}:{child.version}"
    head = find_head(session, parent.model)
    row = find_row(session, head, parent.version) if head is not None else None
    if head is None or row is None or row.state is State.DELETED:
        raise NotFoundError(
            f"{name}, the base of {child_name}, is not in this registry",
            advice="pull without --with-base, and bring the base from where it is",
        )
    if row.manifest != parent.manifest:
        raise CorruptError(
            f"{name} is not the base that {child_name} names: its manifest is {row.manifest}, not {parent.manifest}",
            advice="run `bucketry fsck`, and do not use the two together",
        )
    base = resolved_row(session, head, row)
    if session.strict is not None:
        session.strict.check_base(session, head, row, base)
    return base


def _beside(dest: Path | None, step: int) -> Path | None:
    """Return where the base so many steps up lies: beside the target, under its name."""
    if dest is None:
        return None
    named = dest if dest.name not in {"", ".."} else dest.resolve()
    return named.parent / (f"{named.name}-base" if step == 1 else f"{named.name}-base-{step}")
