"""Decides whether a version may be served here, by the trust file and by what was signed.

Pure: the decisions come from a bucket that is not believed, and the moment from the caller.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, RejectedError
from bucketry.frozen import frozen
from bucketry.schema.documents.reviews import REFUSALS, Action
from bucketry.schema.text import displayable
from bucketry.trust.ssh.sshsig import verify_signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.schema.documents.reviews import Decision
    from bucketry.schema.names import AliasName, Digest, ModelName
    from bucketry.trust.trust_file import TrustedSigner, TrustFile

CLOCK_SKEW = timedelta(minutes=5)
"""How far a reviewer's clock may be ahead of ours."""
MOST_DECISIONS = 1_024
"""Each costs a verification, so a bucket must not make us verify without end."""


class UntrustedError(RejectedError):
    """The trust file does not let this version be served here."""


@frozen
class JudgedVersion:
    """What is judged: which version, named by which alias (None: by none), and the generation of its register."""

    registry: str
    model: ModelName
    version: int
    manifest: Digest
    created_by: str
    alias: AliasName | None = None
    generation: int | None = None

    def __str__(self) -> str:
        return f"{self.model}@{self.alias}" if self.alias else f"{self.model}:{self.version}"


@frozen
class DiscountedDecision:
    """A decision that does not count: whose it claims to be, what it does, and why not."""

    principal: str
    action: Action
    reason: str

    def __str__(self) -> str:
        return f"{displayable(self.principal)}'s {self.action} {self.reason}"


@frozen
class Judgement:
    """Whether a version may be served, and why: `refusal` is empty if it may.

    `approved_by` are the distinct principals whose approvals count. `published_by` is who signed the publish, if it
    was somebody in the trust file. `refused_by` are those in the trust file who rejected or revoked it.
    """

    subject: JudgedVersion
    refusal: str = ""
    approved_by: tuple[str, ...] = ()
    published_by: str | None = None
    refused_by: tuple[str, ...] = ()
    dropped: tuple[DiscountedDecision, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the version may be served."""
        return not self.refusal

    def check(self) -> None:
        """Raise `UntrustedError` unless the version may be served."""
        if self.refusal:
            raise UntrustedError(
                f"{self.subject} (version {self.subject.version}) is not trusted here: {self.refusal}",
                advice="serve a version that the reviewers in the trust file approved",
            )


def judge(trust: TrustFile, subject: JudgedVersion, decisions: Sequence[Decision], *, now: datetime) -> Judgement:
    """Return whether the trust file lets a version be served, on the strength of these decisions.

    A signature carries no time that anybody but its signer vouches for. A key's validity is therefore judged at the
    moment that the statement claims (`created`): an approval that was given while somebody was a reviewer goes on
    counting when the key is replaced, so that a rotation does not take production down. Whoever holds an old key could
    claim an old moment; hence a key that is lost must be revoked, not left to expire, and revoking it ends every
    approval that it ever signed.

    A refusal by anybody in the trust file ends it, however old, for whichever alias, also from a key that was revoked
    or had expired since: forging one only stops a version, which whoever could put it here can do anyway. To forget
    somebody's refusals, take their entry out of the trust file.
    """
    if len(decisions) > MOST_DECISIONS:
        return Judgement(subject, f"it carries {len(decisions):,} decisions; the limit is {MOST_DECISIONS:,}")
    known: list[_Verified] = []
    dropped: list[DiscountedDecision] = []
    for decision in decisions:
        verified = _verify(trust, subject, decision)
        if isinstance(verified, str):
            dropped.append(_drop(decision, verified))
        else:
            known.append(_Verified(decision, verified))
    refusers = [(each.signers[0].principal, each.decision) for each in known if each.action in REFUSALS]
    publishers, approvers = _counted(trust, subject, known, dropped, now)
    found = Judgement(
        subject,
        _objection(trust, subject, refusers),
        approved_by=approvers,
        published_by=publishers[0] if publishers else None,
        refused_by=tuple(dict.fromkeys(principal for principal, _ in refusers)),
        dropped=tuple(dropped),
    )
    return found if found.refusal else _with_rules(trust, found)


@frozen
class _Verified:
    """A decision about this very manifest that a key of the trust file signed; `signers` are the key's entries."""

    decision: Decision
    signers: tuple[TrustedSigner, ...]

    @property
    def action(self) -> Action:
        return self.decision.statement.action


def _verify(trust: TrustFile, subject: JudgedVersion, decision: Decision) -> tuple[TrustedSigner, ...] | str:
    """Return the entries of the key that signed a decision about this manifest, or why there are none."""
    statement = decision.statement
    if decision.review.sshsig is None:
        return "is not signed"
    objections = (
        (statement.registry != subject.registry, "is about another registry"),
        (statement.model != subject.model, f"is about {statement.model}"),
        (statement.manifest != subject.manifest, "is about another manifest"),
    )
    for holds, reason in objections:
        if holds:
            return reason
    try:
        key = verify_signature(decision.review.sshsig, decision.review.payload, namespace=statement.namespace)
    except BucketryError as error:
        return f"does not count: {error.message}"
    entries = trust.signers_of(key)
    if not entries:
        return f"is signed by a key that is not in the trust file ({key.fingerprint})"
    allowed = tuple(entry for entry in entries if entry.allowed.allows(statement.namespace))
    return allowed or f"is signed by a key that may not sign for {statement.namespace}"


def _counted(
    trust: TrustFile,
    subject: JudgedVersion,
    known: Sequence[_Verified],
    dropped: list[DiscountedDecision],
    now: datetime,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return who signed the publish, and which distinct principals approved; add to `dropped` what does not count."""
    wanted = {Action.PUBLISH, Action.APPROVE}
    sound: list[Decision] = []
    for each in known:
        if each.action not in wanted:
            continue
        reason = _why_not(subject, each, now)
        if reason:
            dropped.append(_drop(each.decision, reason))
        else:
            sound.append(each.decision)
    publishers = tuple(d.statement.principal for d in sound if d.statement.action is Action.PUBLISH)
    # Whoever published it, be it with a key that no longer counts, is no second person.
    authors = {subject.created_by, *publishers}
    authors |= {entry.principal for each in known if each.action is Action.PUBLISH for entry in each.signers}
    approvers: dict[str, None] = {}
    for decision in sound:
        principal = decision.statement.principal
        if decision.statement.action is not Action.APPROVE:
            continue
        if principal in authors:
            dropped.append(_drop(decision, "is by the publisher"))
        elif any(principal in rule.by for rule in trust.rules):
            approvers[principal] = None
        else:
            dropped.append(_drop(decision, "is by somebody whom no rule counts"))
    return publishers, tuple(approvers)


def _why_not(subject: JudgedVersion, each: _Verified, now: datetime) -> str:
    """Return why an approval or a publish signature, though of a known key, does not count; empty if it does."""
    statement = each.decision.statement
    created = _moment(statement.created)
    own = [entry for entry in each.signers if entry.principal == statement.principal]
    objections = (
        (not own, f"is signed with the key of {each.signers[0].principal}"),
        (bool(own) and all(entry.revoked for entry in own), "is signed with a key that was revoked"),
        (
            not any(entry.allowed.is_valid_at(created) and not entry.revoked for entry in own),
            f"is signed with a key that was not valid at {statement.created}",
        ),
        (created > now + CLOCK_SKEW, f"is from the future ({statement.created})"),
        (
            statement.expires is not None and _moment(statement.expires) <= now,
            f"expired at {statement.expires}",
        ),
        (
            statement.action is Action.APPROVE and statement.version != subject.version,
            f"is about version {statement.version}",
        ),
        (statement.alias not in {None, subject.alias}, f"is for {statement.alias} only"),
    )
    return next((reason for holds, reason in objections if holds), "")


def _objection(trust: TrustFile, subject: JudgedVersion, refusers: Sequence[tuple[str, Decision]]) -> str:
    """Return what forbids the version whoever approved it; empty for nothing."""
    if subject.registry != trust.registry:
        return f"this is registry {displayable(subject.registry)}, and the trust file is about {trust.registry}"
    if subject.manifest in trust.denied_manifests:
        return f"the trust file denies manifest {subject.manifest}"
    if subject.generation is not None and subject.generation < trust.lowest_generation:
        return f"its generation {subject.generation} is below {trust.lowest_generation}, the trust file's lowest"
    if refusers:
        principal, decision = refusers[0]
        verb = "rejected" if decision.statement.action is Action.REJECT else "revoked"
        return f"{principal} {verb} it at {decision.statement.created}"
    return ""


def _with_rules(trust: TrustFile, found: Judgement) -> Judgement:
    subject = found.subject
    rules = [rule for rule in trust.rules if rule.speaks_about(subject.model, subject.alias)]
    if not rules:
        named = f"alias {subject.alias}" if subject.alias else 'versions without an alias (aliases = ["*"])'
        return _refused(found, f"no rule of the trust file is about {subject.model} and {named}")
    # What a rule lacks is said with the decisions that did not count.
    uncounted = [str(each) for each in found.dropped if each.action in {Action.APPROVE, Action.PUBLISH}][:8]
    for rule in rules:
        if rule.separate_duties and found.published_by is None:
            lacking = "nobody in the trust file signed its publish, which separate_duties needs"
            return _refused(found, "; ".join([lacking, *uncounted]))
        count = sum(principal in rule.by for principal in found.approved_by)
        if count < rule.approvals:
            return _refused(found, "; ".join([f"it has {count} of {rule.approvals} approvals", *uncounted]))
    return found


def _refused(found: Judgement, reason: str) -> Judgement:
    return Judgement(found.subject, reason, found.approved_by, found.published_by, found.refused_by, found.dropped)


def _drop(decision: Decision, reason: str) -> DiscountedDecision:
    return DiscountedDecision(decision.statement.principal, decision.statement.action, reason)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
