"""Opens a registry, or creates one."""

from __future__ import annotations

import uuid
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from bucketry.clock import Clock
from bucketry.errors import NotFoundError, UnsupportedError, UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.commit import Change, FirstAttempt, commit, load_current
from bucketry.registry.core.config import RegistryProfile, find_identity, load_config
from bucketry.registry.core.location import BucketLocation, FolderLocation, parse_location
from bucketry.registry.core.registers import registry_register
from bucketry.registry.core.session import MOST_BROKEN, Session, replica_refusal
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.settings import Conformance, RegistryDocument
from bucketry.store.late import LateStore
from bucketry.store.places import PlacesStore
from bucketry.store.retry import RetryingStore, Silence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bucketry.registry.core.commit import Current
    from bucketry.store.contract import Store
    from bucketry.store.probe.probe import ProbeReport

UNREACHABLE_SECONDS = 20.0
"""How long a small request is tried again before a person is told; commits and transfers wait longer by themselves."""
AWAY_SECONDS = 3.0
"""How long one of several places is tried again before the next is asked."""
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
        store=_open_late(profile) if late else _open_patient(profile, still_waiting, clock),
        actor=find_identity(config, identity),
        clock=clock or Clock(),
        read_only=read_only or profile.read_only,
        profile=profile,
        strict=strict,
    )


def open_first_place(where: str) -> Session:
    """Open the first place of a registry to read it, and no replica of it."""
    config = load_config()
    profile = replace(config.find_profile(where), replicas=())
    return Session(_open_patient(profile), find_identity(config, None), read_only=True, profile=profile)


def open_new_place(where: str | None, *, create: bool) -> Session:
    """Open a place that need not hold a registry yet; a folder that is missing is made, or without `create` empty."""
    config = load_config()
    profile = replace(config.find_profile(where), replicas=())
    location = parse_location(profile.url)
    if isinstance(location, FolderLocation) and not create and not location.path.exists():
        from bucketry.store.memory import MemoryStore  # noqa: PLC0415 - only to look at what is not there

        store: Store = MemoryStore(name=_name_of(profile))
    else:
        create_folder = create and not profile.read_only
        store = RetryingStore(open_store(profile, create_folder=create_folder), deadline_seconds=UNREACHABLE_SECONDS)
    return Session(store, find_identity(config, None), read_only=profile.read_only, profile=profile)


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

    `base` is that document, if it was read before. Raises `RejectedError` for a replica: its history is the source's.
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
        if old is not None and old.replica is not None:
            raise replica_refusal(session.store.name, old.replica)
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
    """Return the store that a profile's URL names, without any retries; raise `UsageError`.

    One with replicas reads from them, too, where the first place does not answer.
    """
    if profile.replicas and not create_folder:
        return PlacesStore([_open_place_late(place) for place in _places_of(profile)])
    return _open_one(profile, create_folder=create_folder)


def _places_of(profile: RegistryProfile) -> tuple[RegistryProfile, ...]:
    return (replace(profile, replicas=()), *profile.replicas)


def _open_place_late(place: RegistryProfile) -> Store:
    """Return one of several places, opened by its first use: one that is away keeps no other from answering."""
    return cast("Store", LateStore(_name_of(place), lambda: _open_one(place)))


def _name_of(profile: RegistryProfile) -> str:
    location = parse_location(profile.url)
    if isinstance(location, FolderLocation):
        return f"file://{location.path}"
    return f"s3://{location.bucket}/{location.prefix}".rstrip("/")


def _open_one(profile: RegistryProfile, *, create_folder: bool = False) -> Store:
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


def _open_patient(
    profile: RegistryProfile, still_waiting: Callable[[str], None] | None = None, clock: Clock | None = None
) -> Store:
    if profile.replicas:
        places = [
            RetryingStore(_open_place_late(place), deadline_seconds=AWAY_SECONDS) for place in _places_of(profile)
        ]
        return PlacesStore(places, clock=clock)
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
    return cast("Store", LateStore(_name_of(profile), lambda: _open_patient(profile)))
