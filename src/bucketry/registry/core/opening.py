"""Opens a registry, or creates one."""

from __future__ import annotations

import uuid
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, cast

from bucketry.clock import Clock
from bucketry.errors import NotFoundError, UnsupportedError, UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.commit import Change, FirstAttempt, commit, load_current
from bucketry.registry.core.config import RegistryProfile, find_identity, load_config
from bucketry.registry.core.location import BucketLocation, FolderLocation, parse_location
from bucketry.registry.core.registers import registry_register
from bucketry.registry.core.session import MOST_BROKEN, Session
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.settings import Conformance, RegistryDocument
from bucketry.store.late import LateStore
from bucketry.store.retry import RetryingStore, Silence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bucketry.registry.core.commit import Current
    from bucketry.store.contract import Store
    from bucketry.store.probe.probe import ProbeReport

UNREACHABLE_SECONDS = 20.0
"""How long a small request is tried again before a person is told; commits and transfers wait longer by themselves."""
SILENCE_SECONDS = 3.0
"""How long a bucket may leave somebody waiting for its first reply before that is said."""


@frozen
class CreatedRegistry:
    """A registry after `init`; `created` is False where it existed."""

    registry: str
    url: str
    conformance: ProbeReport
    created: bool


def open_session(
    where: str | None = None,
    *,
    identity: str | None = None,
    read_only: bool = False,
    clock: Clock | None = None,
    trust: Path | None = None,
    serves: bool = False,
    late: bool = False,
    still_waiting: Callable[[str], None] | None = None,
) -> Session:
    """Open a registry by URL, path or profile; nothing is read before it is needed.

    With a trust file, or one that the profile names for whoever `serves`, only what it accepts is resolved. With `late`
    a bucket is not even opened before: what is wrong with its settings is then raised by its first use.
    `still_waiting` is called with the store's name, in another thread, where its first reply takes long.

    Raises `UsageError` for a URL of no known kind, `NotFoundError` for a folder that does not exist.
    """
    config = load_config()
    profile = config.find_profile(where)
    trusted = trust or (profile.trust if serves else None)
    strict = None
    if trusted:
        from bucketry.registry.review.strict import open_strict_mode  # noqa: PLC0415 - loads cryptography

        strict = open_strict_mode(trusted)
    return Session(
        store=_open_late(profile) if late else _open_patient(profile, still_waiting),
        actor=find_identity(config, identity),
        clock=clock or Clock(),
        read_only=read_only or profile.read_only,
        profile=profile,
        strict=strict,
    )


def create_registry(
    where: str | None = None, *, identity: str | None = None, on_check: Callable[[int, int], None] | None = None
) -> CreatedRegistry:
    """Probe the store, and create a registry there unless there is one; raise `UnsupportedError` if it is unsafe.

    `on_check` is called with how many promises were tried, and how many there are.
    """
    config = load_config()
    profile = config.find_profile(where)
    with closing(open_store(profile, create_folder=not profile.read_only)) as store:
        session = Session(RetryingStore(store), find_identity(config, identity), read_only=profile.read_only)
        session.check_not_read_only()
        current = load_current(session.store, registry_register())
        known = current.state is not None
        probed = probe_store(session, on_check)
        if known or probed.passed:
            document = record_conformance(session, probed, create=not known, base=current)
        if not probed.passed:
            raise unsafe_store(session.store.name, probed)
        return CreatedRegistry(document.registry, session.store.name, probed, created=not known)


def probe_store(session: Session, on_check: Callable[[int, int], None] | None = None) -> ProbeReport:
    """Run the conformance probe in the real bucket; raise `RejectedError` where the session is read-only."""
    session.check_not_read_only()
    from bucketry.store.probe.probe import probe  # noqa: PLC0415 - a reader never probes

    return probe(
        session.store,
        scratch_prefix=f"{keys.PROBE}{uuid.uuid4()}/",
        clock=session.clock,
        on_check=on_check or (lambda done, total: None),  # noqa: ARG005 - nobody listens
    )


def record_conformance(
    session: Session, probed: ProbeReport, *, create: bool = False, base: Current[RegistryDocument] | None = None
) -> RegistryDocument:
    """Record what the probe found in `registry.json`, where writers look before they write.

    `base` is that document, if it was read before.
    """
    result = Conformance(
        endpoint=session.store.endpoint,
        at=session.clock.timestamp(),
        passed=probed.passed,
        broken=tuple(check.promise for check in probed.checks if not check.passed),
    )

    def edit(old: RegistryDocument | None) -> Change[RegistryDocument]:
        if old is None and not create:
            raise NotFoundError(
                f"there is no registry at {session.store.name}",
                advice=f"create one with `bucketry init {session.store.name}`",
            )
        document = old or RegistryDocument(str(uuid.uuid4()), session.clock.timestamp())
        action = AuditAction.PROBE_STORE if old else AuditAction.CREATE_REGISTRY
        return Change(document.with_conformance(result), action, target="passed" if probed.passed else "broken")

    first = FirstAttempt(base, edit(base.state)) if base is not None else None
    committed = commit(session.store, registry_register(), edit, actor=session.actor, clock=session.clock, first=first)
    session.forget_registry()
    return committed.state


def unsafe_store(store: str, probed: ProbeReport) -> UnsupportedError:
    """Return the error that says which promises a store breaks: each reason once, and the first few of many."""
    reasons = list(dict.fromkeys(check.detail or check.promise for check in probed.checks if not check.passed))
    named = "; ".join(reasons[:MOST_BROKEN])
    more = f"; and {len(reasons) - MOST_BROKEN} more promises are broken" if len(reasons) > MOST_BROKEN else ""
    return UnsupportedError(
        f"{store} cannot hold a registry: {named}{more}",
        advice="use a store that keeps conditional writes, such as AWS S3, SeaweedFS or a folder",
    )


def open_store(profile: RegistryProfile, *, create_folder: bool = False) -> Store:
    """Return the store that a profile's URL names, without any retries; raise `UsageError`."""
    match parse_location(profile.url):
        case BucketLocation(bucket, prefix):
            from bucketry.store.s3.store import S3Store  # noqa: PLC0415 - the SDK is loaded for S3 alone

            return S3Store(bucket, prefix, profile.s3_settings())
        case FolderLocation(path):
            from bucketry.store.folder.store import FolderStore  # noqa: PLC0415 - not needed for S3

            if path.exists() and not path.is_dir():
                raise UsageError(f"{path} is not a folder", advice="name a folder for the registry")
            store = FolderStore(path)
            if create_folder:
                store.create_root()
            elif not path.is_dir():
                raise NotFoundError(f"there is no registry at {path}", advice=f"create one with `bucketry init {path}`")
            return store


def _open_patient(profile: RegistryProfile, still_waiting: Callable[[str], None] | None = None) -> Store:
    opening = Silence(SILENCE_SECONDS, partial(still_waiting, profile.url)) if still_waiting else None
    if opening is not None:  # a program that gives credentials, say, may take its time
        opening.begin()
    try:
        store = open_store(profile)
    finally:
        if opening is not None:
            opening.end()
    silence = Silence(SILENCE_SECONDS, partial(still_waiting, store.name)) if still_waiting else None
    return RetryingStore(store, deadline_seconds=UNREACHABLE_SECONDS, silence=silence)


def _open_late(profile: RegistryProfile) -> Store:
    location = parse_location(profile.url)
    if isinstance(location, FolderLocation):  # there is nothing to wait for, and a wrong path is said at once
        return _open_patient(profile)
    name = f"s3://{location.bucket}/{location.prefix}".rstrip("/")
    return cast("Store", LateStore(name, lambda: _open_patient(profile)))
