"""The policy that holds for a model: who set it, and how it is changed.

A model's head names its policy, `registry.json` names the default, and both are changed by a commit of that register:
whoever checks a policy checks one that was committed, and its history is the register's own.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, RejectedError, reason_of
from bucketry.frozen import frozen
from bucketry.registry.core.commit import Change
from bucketry.registry.core.history import iter_records_back
from bucketry.registry.core.immutable import Immutable
from bucketry.registry.core.registers import (
    AlreadySetError,
    commit_head,
    commit_settings,
    existing_head,
    head_register,
    load_existing_head,
    registry_register,
)
from bucketry.schema import keys
from bucketry.schema.codec import Fields, digest_of
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.policy import DEFAULT_POLICY, Policy, check_policy, decode_policy, encode_policy
from bucketry.schema.judging.policy_changes import PolicyChange, policy_changes, protection_removed
from bucketry.schema.names import parse_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.audit import Record
    from bucketry.schema.documents.head import Head
    from bucketry.schema.documents.settings import RegistryDocument
    from bucketry.schema.names import Digest, ModelName

DEFAULT_SETTING = "default_policy"
"""Where the settings in `registry.json` name the default policy."""


@frozen
class PolicyInForce:
    """What holds, and where it comes from. The digests are None where nobody has set a policy there."""

    effective: Policy
    own: Policy | None
    own_digest: Digest | None
    default: Policy
    default_digest: Digest | None


@frozen
class PolicyEvent:
    """One entry of a policy's history: who set which policy, and what that changed, unless `damaged` says why not."""

    generation: int
    at: str
    actor: str
    policy: Digest
    changes: tuple[PolicyChange, ...]
    damaged: str = ""


@frozen
class PolicySet:
    """What setting a policy did; nothing was committed where `changed` is False. `model` is None for the default."""

    model: ModelName | None
    policy: Digest
    generation: int
    changed: bool
    changes: tuple[PolicyChange, ...]


def load_policy(session: Session, head: Head) -> Policy:
    """Return the policy that holds for the model of a head: what its own leaves open is the default's."""
    return load_policy_over_default(session, head.policy)


def load_policy_over_default(session: Session, digest: Digest | None) -> Policy:
    """Return the policy that holds for a model whose own has this digest; None where it has none of its own."""
    default = _find_named(session, find_default_digest(session)) or DEFAULT_POLICY
    own = _find_named(session, digest)
    return own.over(default) if own else default


def find_default_digest(session: Session) -> Digest | None:
    """Return the digest of the default policy, None where nobody has set one."""
    return _default_digest(session.registry)


def load_policy_in_force(session: Session, model: ModelName | None) -> PolicyInForce:
    """Return the policy of a model, or the default (None), with where it comes from."""
    own_digest = load_existing_head(session, model).policy if model else None
    default_digest = find_default_digest(session)
    default, own = _find_named(session, default_digest) or DEFAULT_POLICY, _find_named(session, own_digest)
    return PolicyInForce(own.over(default) if own else default, own, own_digest, default, default_digest)


def load_policy_history(session: Session, model: ModelName | None) -> list[PolicyEvent]:
    """Return every change of a model's policy, or of the default (None), newest first."""
    if model:
        register = head_register(session, model)
        records: Iterable[Record] = iter_records_back(session, register, load_existing_head(session, model).trail)
    else:
        document = registry_register()
        records = iter_records_back(session, document, session.registry.trail)
    found = []
    for record in records:
        if record.action == AuditAction.SET_POLICY:
            fields = Fields(dict(record.detail), what=f"audit record {record.generation} of a policy")
            found.append((record, fields.parsed("policy", parse_digest)))
    policies = [*(_look_at(session, digest) for _, digest in found), None]
    return [
        PolicyEvent(record.generation, record.at, record.actor, digest, *_changes(before, after))
        for (record, digest), (after, before) in zip(found, pairwise(policies), strict=True)
    ]


def policy_set_at(session: Session, model: ModelName | None) -> tuple[Digest | None, Digest | None]:
    """Return which policy is set for a model (None: for none), and which as the default; None where none is."""
    return (load_existing_head(session, model).policy if model else None), find_default_digest(session)


def find_removed_protection(
    session: Session, own: Digest | None, default: Digest | None, policy: Policy, *, of_default: bool
) -> tuple[str, ...]:
    """Return which protection a policy would take away that replaces `own`, or the default; in words.

    What a damaged policy asked for, nobody can say: that is told as one thing that is gone.
    """
    looked = [_look_at(session, digest) for digest in (own, default)]
    for found in looked:
        if isinstance(found, str):
            return (f"what a damaged policy asks for ({found})",)
    mine, base = (found if isinstance(found, Policy) else None for found in looked)
    base = (base or DEFAULT_POLICY).over(DEFAULT_POLICY)
    before = mine.over(base) if mine else base
    return protection_removed(before, policy.over(DEFAULT_POLICY if of_default else base))


def find_policy_changes(session: Session, before: Digest | None, policy: Policy) -> tuple[PolicyChange, ...]:
    """Return what a policy changes that is set in place of another; nothing where that cannot be read."""
    return _changes(_look_at(session, before), policy)[0]


def set_policy(
    session: Session, model: ModelName | None, policy: Policy, *, may_remove_protection: bool = True
) -> PolicySet:
    """Make a policy hold for a model, or as the default (None); raise `NotFoundError` for a model that is not there.

    What it leaves open, the default decides (and for the default: nothing is required). Setting the policy that is set
    already changes nothing. Unless it may, `RejectedError` is raised for one that takes protection away, decided on the
    policy that the commit replaces.
    """
    session.check_writable()
    body = encode_policy(check_policy(policy))
    digest = digest_of(body)
    item = Immutable(keys.policy(digest), body)

    def check(own: Digest | None, default: Digest | None) -> None:
        if may_remove_protection:
            return
        removed = find_removed_protection(session, own, default, policy, of_default=model is None)
        if removed:
            raise RejectedError(
                f"the policy was set anew meanwhile, and this takes protection away: {'; '.join(removed)}",
                advice="look at it again with --dry-run; --yes sets it all the same",
            )

    try:
        if model:
            before, committed = _set_for_model(session, model, item, digest, check)
        else:
            before, committed = _set_default(session, item, digest, check)
    except AlreadySetError as unchanged:
        return PolicySet(model, digest, unchanged.generation, changed=False, changes=())
    changes = find_policy_changes(session, before, policy)  # one that is damaged is best replaced
    return PolicySet(model, digest, committed, changed=True, changes=changes)


def _set_for_model(
    session: Session,
    model: ModelName,
    item: Immutable,
    digest: Digest,
    check: Callable[[Digest | None, Digest | None], None],
) -> tuple[Digest | None, int]:
    before: list[Digest | None] = [None]

    def edit(old: Head | None) -> Change[Head]:
        head = existing_head(session, model, old)
        if head.policy == digest:
            raise AlreadySetError(head.generation)
        before[0] = head.policy
        check(head.policy, find_default_digest(session))
        return Change(replace(head, policy=digest), AuditAction.SET_POLICY, detail={"policy": digest}, objects=(item,))

    committed = commit_head(session, model, edit)
    return before[0], committed.record.generation


def _set_default(
    session: Session, item: Immutable, digest: Digest, check: Callable[[Digest | None, Digest | None], None]
) -> tuple[Digest | None, int]:
    before: list[Digest | None] = [None]

    def edit(document: RegistryDocument) -> Change[RegistryDocument]:
        before[0] = _default_digest(document)
        if before[0] == digest:
            raise AlreadySetError(document.trail.generation)
        check(None, before[0])
        settings: Mapping[str, object] = {**document.settings, DEFAULT_SETTING: digest}
        return Change(
            replace(document, settings=settings), AuditAction.SET_POLICY, detail={"policy": digest}, objects=(item,)
        )

    committed = commit_settings(session, edit)
    return before[0], committed.record.generation


def _default_digest(document: RegistryDocument) -> Digest | None:
    return Fields(dict(document.settings), what=f"{keys.REGISTRY}: settings").optional_digest(DEFAULT_SETTING)


def _look_at(session: Session, digest: Digest | None) -> Policy | str | None:
    """Return a policy, or why it cannot be read: for what is only told of it."""
    try:
        return _find_named(session, digest)
    except UNREADABLE as error:
        return reason_of(error)


def _changes(before: Policy | str | None, after: Policy | str | None) -> tuple[tuple[PolicyChange, ...], str]:
    """Return what changed between two policies, or why nobody can say."""
    if isinstance(after, str):
        return (), after
    if isinstance(before, str):
        return (), before
    return policy_changes(before, after), ""


def _find_named(session: Session, digest: Digest | None) -> Policy | None:
    if digest is None:
        return None
    return decode_policy(session.load_policy_bytes(digest), what=keys.policy(digest))
