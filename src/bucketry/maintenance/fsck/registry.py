"""Checks that everything that the registry names is there, and is what the registry says.

The check only reads. It may run beside writers: a model in which it sees damage is checked again for as long as its
registers keep moving, so that a race is not taken for damage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, BucketryError
from bucketry.frozen import frozen
from bucketry.maintenance.fsck.bases import PinLedger
from bucketry.maintenance.fsck.copies import find_registry_faults
from bucketry.maintenance.fsck.findings import Finding, Findings
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.maintenance.fsck.model import ModelCheck
from bucketry.maintenance.fsck.policies import PolicyShelf, read_policy_changes
from bucketry.maintenance.fsck.reading import (
    Unreadable,
    folder_of,
    kind_of,
    list_as_far,
    list_entries,
    look_for,
    reason_of,
)
from bucketry.maintenance.fsck.registers import read_chain, read_plain_copy, report_plain_copy
from bucketry.maintenance.fsck.serving import check_served
from bucketry.registry.core.commit import load_current
from bucketry.registry.core.registers import registry_register
from bucketry.registry.core.session import DocumentCache
from bucketry.registry.review.policies import DEFAULT_SETTING
from bucketry.schema import keys
from bucketry.schema.codec import Fields, digest_of
from bucketry.schema.documents.deployment import decode_deployment
from bucketry.schema.documents.replica import Selection
from bucketry.schema.documents.settings import encode_registry
from bucketry.schema.names import parse_model_name
from bucketry.store.contract import Entry, Folder, Object

if TYPE_CHECKING:
    from bucketry.maintenance.fsck.verified import VerifiedBlobs
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.replica import Replica
    from bucketry.schema.names import ModelName
    from bucketry.store.contract import Store

MOST_PASSES = 5
"""How often a model is checked while its registers move under the check."""

RECEIPTS_AT_ONCE = 1_000
"""So many receipts of instances are read before their faults are reported."""

CheckProgress = Callable[[str, int, int], None]
"""Hears the name of the model that is about to be checked, how many are done, and how many there are."""


@frozen
class Report:
    """What the check found, and how many models, versions and artifacts' bytes it looked at."""

    findings: tuple[Finding, ...]
    models: int
    versions: int
    size_bytes: int

    @property
    def damage(self) -> tuple[Finding, ...]:
        """What must not be."""
        return tuple(finding for finding in self.findings if finding.grade == "damage")

    @property
    def unfinished(self) -> tuple[Finding, ...]:
        """What a crash may leave, and a person must end."""
        return tuple(finding for finding in self.findings if finding.grade == "unfinished")

    @property
    def garbage(self) -> tuple[Finding, ...]:
        """What may be, and only takes room."""
        return tuple(finding for finding in self.findings if finding.grade == "garbage")


def check_registry(
    session: Session,
    *,
    deep: bool = False,
    models: Sequence[ModelName] | None = None,
    progress: CheckProgress | None = None,
    verified: VerifiedBlobs | None = None,
) -> Report:
    """Check all models, or the given ones; `deep` also compares the digests of every blob, and verifies signatures.

    What is known as `verified` is not read again.

    Raises only what keeps it from checking anything: `UnavailableError`, `NotFoundError` for the bucket itself, and
    `DeniedError` where not even the models may be listed. One thing that cannot be read is a finding.
    """
    session = replace(
        session, documents=DocumentCache(), takes_any_registry=True
    )  # what was read before proves nothing about the bucket
    findings, shelf, pins = Findings(), PolicyShelf(session.store), PinLedger()
    registry, replica = _check_registry_document(session, shelf, findings)
    selection = replica.selection if replica else Selection()
    if replica is not None and not replica.complete:
        findings.add(
            Kind.REPLICA_INCOMPLETE,
            keys.REGISTRY,
            "No mirror has brought all that this replica is to hold.",
            source=replica.source,
            place=session.store.name,
        )
    chosen = list(models) if models is not None else list(_find_models(session.store, findings))
    versions = size_bytes = 0
    for number, model in enumerate(chosen):
        if progress is not None:
            progress(str(model), number, len(chosen))
        check = _check_model(session, model, shelf, registry, selection, deep=deep, verified=verified)
        findings.extend(check.findings)
        pins.extend(check.pins)
        versions += check.versions
        size_bytes += check.size_bytes
    pins.find_garbage(session, selection, findings)
    _check_deployments(session, models, findings)
    if models is None:
        is_whole = replica is None or replica.complete
        check_served(session, findings)
        _check_strays(session.store, set(chosen), shelf, findings, heads_may_come=not is_whole)
    return Report(tuple(findings.found), len(chosen), versions, size_bytes)


def _check_registry_document(
    session: Session, shelf: PolicyShelf, findings: Findings
) -> tuple[str | None, Replica | None]:
    """Return the registry's id, None where its document cannot say it, and of what it is a copy, if it is one.

    The shelf learns the default policies.
    """
    register = registry_register()
    plain = read_plain_copy(session.store, keys.REGISTRY)
    try:
        current = load_current(session.store, register)
    except UNREADABLE as error:
        kind = kind_of(error, Kind.REGISTER_UNREADABLE)
        findings.add(kind, keys.REGISTRY, f"The registry's own document cannot be read: {reason_of(error)}.")
        return None, None
    if current.state is None:
        findings.add(Kind.REGISTER_LOST, keys.REGISTRY, "The registry's own document is missing.")
        return None, None
    report_plain_copy(register, current.trail, encode_registry(current.state), plain, findings)
    for problem in find_registry_faults(current.state):
        findings.add(Kind.REGISTRY_CONTRADICTION, keys.REGISTRY, problem)
    records, fault = read_chain(session, register, current.trail)
    if fault is not None:
        words = f"The audit chain of the registry's own document is broken: {fault.words}."
        findings.add(fault.kind, fault.key, words)
    default = None
    try:
        default = Fields(dict(current.state.settings), what="settings").optional_digest(DEFAULT_SETTING)
    except UNREADABLE as error:
        words = f"The default policy cannot be read: {reason_of(error)}."
        findings.add(Kind.REGISTRY_CONTRADICTION, keys.REGISTRY, words)
    changes = read_policy_changes(keys.REGISTRY, records, default, findings)
    policies = [shelf.check(digest, findings) for digest in changes.named()]
    if fault is None and changes.are_all_named:
        shelf.set_defaults(policies)
    return current.state.registry, current.state.replica


def _find_models(store: Store, findings: Findings) -> Iterator[ModelName]:
    """Yield whose heads there are. Without the right to list at all there is nothing to check, so it is raised."""
    for namespace in store.list(keys.HEADS, delimiter="/"):
        entries = (namespace,) if isinstance(namespace, Entry) else list_entries(store, namespace.prefix, findings)
        for entry in entries:
            try:
                model = keys.model_of_head(entry.key)
            except BucketryError:
                model = None
            if model is None:
                findings.add(Kind.KEY_OF_NO_REGISTER, entry.key, "This key is not that of any model's head.")
            else:
                yield model


def _check_model(
    session: Session,
    model: ModelName,
    shelf: PolicyShelf,
    registry: str | None,
    selection: Selection,
    *,
    deep: bool,
    verified: VerifiedBlobs | None,
) -> ModelCheck:
    for number in range(1, MOST_PASSES + 1):
        check = ModelCheck(session, model, shelf, registry, selection, deep=deep, verified=verified)
        check.run()
        if number == MOST_PASSES or not check.findings.has_damage or not check.has_moved():
            return check
    raise AssertionError("unreachable: the last pass returns")


def _check_strays(
    store: Store, models: set[ModelName], shelf: PolicyShelf, findings: Findings, *, heads_may_come: bool
) -> None:
    """Find what lies outside the models that have a head; in a replica that is not complete it may come."""
    folders = {folder_of(model) for model in models}
    lost: set[ModelName] = set()
    for entry in _outside(store, keys.ALIASES, folders, findings):
        findings.add(Kind.MODEL_WITHOUT_HEAD, entry.key, "This alias's register belongs to no model.")
        lost.update(_models_of(entry.key))
    for entry in _outside(store, keys.HISTORY, folders, findings):
        if not keys.is_registry_history(entry.key):
            kind = Kind.HEAD_TO_COME if heads_may_come else Kind.MODEL_WITHOUT_HEAD
            findings.add(kind, entry.key, "These sealed audit records belong to no model that has a head.")
            lost.update(() if heads_may_come else _models_of(entry.key))
    for model in lost:
        findings.add(
            Kind.REGISTER_LOST, keys.head(model), "This head is missing, and what cannot be there before it is."
        )
    folders |= {folder_of(model) for model in lost}  # what a lost head named is no garbage
    for entry in _outside(store, keys.MANIFESTS, folders, findings):
        findings.add(Kind.DOCUMENT_UNNAMED, entry.key, "This manifest belongs to no model.")
    for entry in _outside(store, keys.BLOBS, folders, findings):
        findings.add(Kind.BLOB_UNNAMED, entry.key, f"These {entry.size_bytes:,} bytes belong to no model.")
    for prefix, what in (
        (keys.EVIDENCE, "evaluation"),
        (keys.REVIEWS, "decision"),
        (keys.PAGES, "document"),
    ):
        for entry in _outside(store, prefix, folders, findings):
            findings.add(Kind.DOCUMENT_UNNAMED, entry.key, f"This {what} belongs to no model.")
    _check_uploads(store, findings)
    _check_unexplained(store, shelf, findings)
    for entry in list_entries(store, keys.PROBE, findings):
        findings.add(Kind.PROBE_LEFTOVER, entry.key, "This is a leftover of a probe of the store.")


def _models_of(key: str) -> Iterator[ModelName]:
    """Yield whose object lies at the key of an alias or of sealed audit records, if that is anybody's name."""
    with suppress(BucketryError):
        yield parse_model_name("/".join(key.split("/")[1:3]))


def _check_unexplained(store: Store, shelf: PolicyShelf, findings: Findings) -> None:
    """Find what lies where no rule of the format puts anything."""
    for item in _fold(store, "", findings):
        place = item.key if isinstance(item, Entry) else item.prefix
        if place not in keys.KINDS:
            findings.add(Kind.STRAY_KEY, place, "No rule of the format puts anything here.")
    for prefix in (keys.PAGES, keys.HISTORY):
        for entry in list_entries(store, prefix, findings):
            if not keys.is_explained(entry.key):
                findings.add(Kind.STRAY_KEY, entry.key, "This key is that of no document of a registry.")
    for entry in list_entries(store, keys.WORK, findings):
        if keys.find_work_place(entry.key) is None and not entry.key.startswith(keys.COLLECTIONS):
            findings.add(Kind.STRAY_KEY, entry.key, "This key is that of no document of shared work.")
    _check_policies(store, shelf, findings)


def _check_policies(store: Store, shelf: PolicyShelf, findings: Findings) -> None:
    """Find policies that no register names and that are not what their own names say."""
    for entry in list_entries(store, keys.POLICIES, findings):
        digest = keys.digest_of_policy(entry.key)
        if digest is not None and shelf.has_read(digest):
            continue  # a register names it, and it was reported
        found = look_for(store, entry.key)
        if digest is None:
            findings.add(Kind.STRAY_KEY, entry.key, "This key is that of no policy.")
        elif isinstance(found, Object) and digest_of(found.body) != digest:
            findings.add(Kind.POLICY_LOST, entry.key, "The bytes of this policy are not those that its name says.")
        elif isinstance(found, Unreadable):
            findings.add(Kind.POLICY_LOST, entry.key, f"This policy cannot be read: {found.reason}.")


def _check_uploads(store: Store, findings: Findings) -> None:
    try:
        for key, upload, started_at in store.list_uploads(keys.BLOBS):
            findings.add(
                Kind.UPLOAD_UNFINISHED,
                key,
                f"The upload {upload}, begun {started_at:%Y-%m-%d %H:%M} UTC, was not finished.",
            )
    except UNREADABLE as error:
        findings.add(
            Kind.UNLISTABLE, keys.BLOBS, f"The uploads that were not finished cannot be listed: {reason_of(error)}."
        )


def _outside(store: Store, prefix: str, folders: set[str], findings: Findings) -> Iterator[Entry]:
    """Yield the entries that lie in none of the models' folders, without listing what lies in them."""
    for namespace in _fold(store, prefix, findings):
        if isinstance(namespace, Entry):
            yield namespace
            continue
        for inner in _fold(store, namespace.prefix, findings):
            if isinstance(inner, Entry):
                yield inner
            elif isinstance(inner, Folder) and inner.prefix.removeprefix(prefix) not in folders:
                yield from list_entries(store, inner.prefix, findings)


def _fold(store: Store, prefix: str, findings: Findings) -> Iterator[Entry | Folder]:
    return list_as_far(lambda: store.list(prefix, delimiter="/"), prefix, findings)


def _check_deployments(session: Session, models: Sequence[ModelName] | None, findings: Findings) -> None:
    """Report every receipt of the given models, or of all, that does not decode.

    Nothing relies on a receipt, so one that cannot be read only takes room.
    """
    prefixes = [keys.DEPLOYMENTS] if models is None else [keys.deployments(model) for model in models]
    for prefix in prefixes:
        names = [entry.key for entry in list_entries(session.store, prefix, findings)]
        for start in range(0, len(names), RECEIPTS_AT_ONCE):
            some = names[start : start + RECEIPTS_AT_ONCE]
            problems = session.map_in_parallel(partial(_find_receipt_fault, session.store), some)
            for key, problem in zip(some, problems, strict=True):
                if problem:
                    findings.add(Kind.RECEIPT_UNREADABLE, key, f"This is no receipt of an instance: {problem}.")


def _find_receipt_fault(store: Store, key: str) -> str:
    try:
        found = look_for(store, key)
        if found is None:
            return ""  # an instance withdrew it since the listing
        if isinstance(found, Unreadable):
            return found.reason
        decode_deployment(found.body, key=key)
    except UNREADABLE as error:
        return reason_of(error)
    return ""
