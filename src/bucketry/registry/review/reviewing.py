"""The review of a version: what a decision is about, when it counts, and whom it must reach.

A decision is written create-only, then cited by the version's dossier, which the commit of the head replaces: so every
precondition (state, gates, who may) is decided on the state that is actually replaced. A refusal then walks the
aliases: it is put into each that names the version, and every other is touched, so that a promoter who has not seen it
loses the compare-and-swap. Only then is it acknowledged.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bucketry.errors import (
    UNREADABLE,
    CommitUnknownError,
    ContendedError,
    CorruptError,
    DeniedError,
    RejectedError,
    UnavailableError,
    UsageError,
)
from bucketry.frozen import frozen
from bucketry.registry.core.commit import Change, Current, FirstAttempt
from bucketry.registry.core.immutable import Immutable
from bucketry.registry.core.notes import reason_detail
from bucketry.registry.core.registers import (
    AlreadyDoneError,
    commit_alias,
    ensure_head,
    existing_head,
    load_existing_head,
    load_head,
)
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.core.rows import load_dossier, load_row, replace_dossier
from bucketry.registry.review.carried import carried_reviews
from bucketry.registry.review.gating import check_version_gates, known_gates
from bucketry.registry.review.policies import load_policy
from bucketry.registry.review.signing import checked
from bucketry.registry.review.standings import Standing, load_decisions, load_standing, refuse_failed_gates
from bucketry.registry.serving.ready import withdraw
from bucketry.schema import keys
from bucketry.schema.arguments import plain_text
from bucketry.schema.documents.alias import AliasRegister, AliasTarget
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.dossier import Citation
from bucketry.schema.documents.policy import DEFAULT_POLICY
from bucketry.schema.documents.reviews import (
    LONGEST_COMMENT_CHARACTERS,
    REFUSALS,
    Action,
    Decision,
    Review,
    Statement,
    decode_review,
    encode_review,
    encode_statement,
)
from bucketry.schema.documents.states import State
from bucketry.schema.judging.decisions import (
    Approvals,
    check_decision,
    count_approvals,
    derive_state,
    moment,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.registry.core.session import Session
    from bucketry.registry.review.signing import Sign
    from bucketry.schema.documents.gates import GateResult
    from bucketry.schema.documents.head import Head
    from bucketry.schema.documents.policy import Policy
    from bucketry.schema.names import AliasName, Digest, ModelName

CLOCK_SKEW = timedelta(minutes=5)
"""How far a reviewer's clock may be ahead of ours."""
MOST_REVIEWS = 512
"""How many decisions one version may have; each is an object that a reviewer reads."""
MOST_REFUSALS_BEYOND = 64
"""Room that comments cannot take: it must never be hard to stop something."""


@frozen
class RecordedDecision:
    """What a decision did. `reached` are the aliases that now carry it.

    `not_withdrawn` says why a refused version may still be ready to be loaded from `serve/`, where that is so.
    """

    model: ModelName
    version: int
    manifest: Digest
    action: Action
    principal: str
    state: State
    approvals: Approvals
    reached: tuple[AliasName, ...] = ()
    not_withdrawn: str = ""


@frozen
class PreparedDecision:
    """A statement to be signed, and the head on which it was judged: recorded there, it is not judged again."""

    statement: Statement
    base: Current[Head]
    standing: Standing


def prepare_decision(
    session: Session,
    model: ModelName,
    version: int,
    action: Action,
    *,
    comment: str = "",
    alias: AliasName | None = None,
    diff: Digest | None = None,
    base: Current[Head] | None = None,
) -> PreparedDecision:
    """Return the statement to sign, about the version as it is now, or on the head that was just read.

    It names the evidence that is there and, for an approval, each gate's result, so that what the reviewer was shown is
    on record. Raises as `record_decision` would, but for a signature that is missing yet.
    """
    session.check_writable()
    comment = plain_text(comment, "comment", longest=LONGEST_COMMENT_CHARACTERS)
    base = base or load_head(session, model)
    head = existing_head(session, model, base.state)
    standing = _load_standing(session, head, version, action)
    gates: tuple[GateResult, ...] = ()
    if action is Action.APPROVE:  # to refuse must not depend on files that a gate reads, which may be what is wrong
        load_manifest(session, model, standing.row.manifest)  # who approves a version must be able to read it
        gates = check_version_gates(session, head, standing.row, alias=alias)
    dossier = load_dossier(session, head, standing.row)
    statement = replace(
        _draft(session, model, standing, action, comment),
        alias=alias,
        evidence=tuple(cited.sha256 for cited in dossier.evidence),
        gates=tuple(gate.to_document() for gate in gates),
        diff=diff,
    )
    _check(session, head, standing, _as_decision(statement), need_signature=False, gates=gates)
    return PreparedDecision(statement, base, standing)


def check_may_decide(session: Session, model: ModelName, version: int, action: Action) -> None:
    """Raise as `prepare_decision` would, before there is a comment: whoever may not decide need not write one.

    Files are not scanned for it, so that a gate about what is in them may fail later.
    """
    session.check_writable()
    head = load_existing_head(session, model)
    standing = load_standing(session, head, load_row(session, head, version))
    statement = _draft(session, model, standing, action, "a comment will follow")
    _check_by_policy(standing, _as_decision(statement), need_signature=False)
    if action is Action.APPROVE:
        refuse_failed_gates(standing.row, known_gates(session, head, standing.row), "approved")


def decide(
    session: Session,
    model: ModelName,
    version: int,
    action: Action,
    *,
    comment: str = "",
    diff: Digest | None = None,
    base: Current[Head] | None = None,
    sign: Sign | None = None,
) -> RecordedDecision:
    """Judge, sign and commit a decision, and tell the aliases: of one version, on one reading of its head."""
    prepared = prepare_decision(session, model, version, action, comment=comment, diff=diff, base=base)
    statement = prepared.statement
    review = Review(encode_statement(statement)) if sign is None else sign(statement)
    return record_decision(session, review, prepared)


def record_decision(session: Session, review: Review, prepared: PreparedDecision | None = None) -> RecordedDecision:
    """Commit a decision, signed or not, and, if it refuses the version, tell every alias before returning.

    Raises `RejectedError` for one that the state, the policy or a gate forbids, `UsageError` for one about another
    registry. A refusal that was interrupted on its way to the aliases is finished by making it again.
    """
    session.check_writable()
    decision, version = _decision_of(session, review)
    statement = decision.statement
    model, action = statement.model, statement.action
    item = Immutable(keys.review(model, statement.manifest, decision.sha256), encode_review(review))
    why, documents = reason_detail(session, model, statement.comment)

    def change(head: Head, standing: Standing) -> Change[Head]:
        changed, more = _cite(session, head, standing, item, decision)
        objects = (item, *documents, *more)
        return Change(changed, action.audited, target=str(version), detail=why, objects=objects)

    def edit(old: Head | None) -> Change[Head]:
        head = existing_head(session, model, old)
        standing = _load_standing(session, head, version, action)
        if any(known.sha256 == decision.sha256 for known in standing.decisions):
            raise AlreadyDoneError(head)  # by these very bytes, and perhaps not acknowledged
        _check(session, head, standing, decision)
        return change(head, standing)

    first = None
    if prepared is not None and review.payload == encode_statement(prepared.statement):
        _check_by_policy(prepared.standing, decision, need_signature=True)  # all else was, when it was prepared
        head = existing_head(session, model, prepared.base.state)
        first = FirstAttempt(prepared.base, change(head, prepared.standing))
    head = ensure_head(session, model, edit, first=first)
    try:
        not_withdrawn = _withdraw(session, model, version) if action in REFUSALS else ""
        reached = _tell_aliases(session, head, version, action)
        standing = _load_standing(session, head, version, action)
    except (UnavailableError, ContendedError, CommitUnknownError) as error:
        raise UnavailableError(
            f"to {action} {model}:{version} is on record, but not every alias could be told: {error.message}",
            advice="do it again, which tells the aliases",
        ) from error
    state, approvals = standing.row.state, standing.approvals
    return RecordedDecision(
        model, version, statement.manifest, action, statement.principal, state, approvals, reached, not_withdrawn
    )


def _decision_of(session: Session, review: Review) -> tuple[Decision, int]:
    """Return what a review decides, and about which version; raise for what is none of this registry."""
    decision = decode_review(encode_review(checked(review)), what="the decision")
    statement = decision.statement
    if statement.registry != session.registry.registry:
        raise UsageError("the decision is about another registry", advice="prepare it again here")
    if statement.version is None or statement.action is Action.PUBLISH:
        raise UsageError("this is a publish signature, not a decision about a version")
    return decision, statement.version


def ask_for_review(session: Session, model: ModelName, version: int, *, comment: str = "") -> RecordedDecision | None:
    """Ask the reviewers to look at a version, unless somebody asked or decided before: a repeated publish asks once."""
    base = load_head(session, model)
    if load_row(session, existing_head(session, model, base.state), version).state is not State.REGISTERED:
        return None
    return decide(session, model, version, Action.REQUEST, comment=comment, base=base)


def _load_standing(session: Session, head: Head, version: int, action: Action) -> Standing:
    """Return how a version stands, for a decision about it.

    To stop something must never be hard: a refusal holds whatever the policy says, so it does not need one that can be
    read. Everything else does.
    """
    row = load_row(session, head, version)
    try:
        policy = load_policy(session, head)
    except UNREADABLE:
        if action not in REFUSALS:
            raise
        policy = DEFAULT_POLICY
    return load_standing(session, head, row, policy=policy)


def _draft(session: Session, model: ModelName, standing: Standing, action: Action, comment: str) -> Statement:
    """Return what the session's actor states now about a version, but for what it was decided on."""
    created = session.clock.timestamp()
    return Statement(
        registry=session.registry.registry,
        model=model,
        manifest=standing.row.manifest,
        action=action,
        principal=session.actor,
        sequence=len(standing.decisions) + 1,
        created=created,
        version=standing.row.version,
        expires=_end_of_approval(standing.policy, created) if action is Action.APPROVE else None,
        comment=comment,
    )


def _check(
    session: Session,
    head: Head,
    standing: Standing,
    decision: Decision,
    *,
    need_signature: bool = True,
    gates: Sequence[GateResult] | None = None,
) -> None:
    """Raise `RejectedError` for a decision that this head forbids; `gates` are their results, where they are known."""
    statement, row = decision.statement, standing.row
    if statement.manifest != row.manifest:
        raise RejectedError(f"version {row.version} is not the manifest that this decision is about")
    _check_by_policy(standing, decision, need_signature=need_signature)
    _check_times(session, standing, statement)
    if statement.action is Action.APPROVE:
        shown, there = set(statement.evidence), {cited.sha256 for cited in load_dossier(session, head, row).evidence}
        if shown != there:
            raise RejectedError(
                f"the evidence of version {row.version} changed since this approval was prepared",
                advice="look at it again with `bucketry show`, then approve",
            )
        results = check_version_gates(session, head, row, alias=statement.alias) if gates is None else gates
        refuse_failed_gates(row, results, "approved")


def _check_by_policy(standing: Standing, decision: Decision, *, need_signature: bool) -> None:
    """Raise `RejectedError` for one decision too many, or one that state or policy forbids."""
    statement, row = decision.statement, standing.row
    most = MOST_REVIEWS + (MOST_REFUSALS_BEYOND if statement.action in REFUSALS else 0)
    if len(standing.decisions) >= most:
        raise RejectedError(f"version {row.version} has {most} decisions, the most that one can have")
    check_decision(
        decision,
        standing.policy,
        version=row.version,
        state=row.state,
        authorship=standing.authorship,
        need_signature=need_signature,
    )


def _check_times(session: Session, standing: Standing, statement: Statement) -> None:
    """Raise `RejectedError` for a statement, perhaps signed elsewhere, that claims another place or time than its own.

    Otherwise one that is edited before it is signed could stand above all later ones, or last longer than the policy
    lets it.
    """
    prepare = "prepare it again with --detached, and sign it unchanged"
    if statement.sequence > len(standing.decisions) + 1:
        raise RejectedError(f"the decision claims to be number {statement.sequence} of this version", advice=prepare)
    if moment(statement.created) > session.clock.now() + CLOCK_SKEW:
        raise RejectedError(f"the decision is from the future ({statement.created})", advice="set the clocks right")
    latest = _end_of_approval(standing.policy, statement.created) if statement.action is Action.APPROVE else None
    if latest is not None and (statement.expires is None or moment(statement.expires) > moment(latest)):
        raise RejectedError(f"the policy lets this approval last until {latest}, not longer", advice=prepare)


def _cite(
    session: Session, head: Head, standing: Standing, item: Immutable, decision: Decision
) -> tuple[Head, tuple[Immutable, ...]]:
    """Return the head whose dossier cites one more decision, and whose row has the state that follows."""
    session.documents.remember(decision.sha256, item.body)
    dossier = load_dossier(session, head, standing.row)
    cited = Citation(item.key, decision.sha256)
    dossier = replace(dossier, reviews=(*dossier.reviews, cited))
    decisions = (*standing.decisions, decision)
    approvals = count_approvals(
        decisions,
        standing.policy,
        authorship=standing.authorship,
        cited={known.sha256 for known in dossier.evidence},
        now=session.clock.timestamp(),
    )
    row = standing.row
    if row.state is not State.RETIRED or approvals.refusals:
        row = replace(row, state=derive_state(decisions, approvals))
    return replace_dossier(session, head, row, dossier)


def _withdraw(session: Session, model: ModelName, version: int) -> str:
    """Take away what says that the version may be loaded from `serve/`; return why that may not be done here, if so.

    Not every reviewer has the right to, and to refuse must not depend on it: `gc` does it as well.
    """
    try:
        withdraw(session, model, version)
    except DeniedError as error:
        return error.message
    return ""


def _tell_aliases(session: Session, head: Head, version: int, action: Action) -> tuple[AliasName, ...]:
    """Bring the decision to every alias that names the version; a refusal touches all others too.

    The head has the decision, and so it names every alias whose promoter read a head without it: a name that comes
    later is given on a head that has both.
    """
    if action not in {Action.APPROVE, *REFUSALS}:
        return ()
    model, names = head.model, head.aliases

    def tell(alias: AliasName) -> bool | CorruptError:
        try:
            return _tell_alias(session, model, version, alias, action)
        except CorruptError as error:  # all others are told before anybody hears of it
            return error

    told = session.map_in_parallel(tell, names)
    lost = next((one for one in told if isinstance(one, CorruptError)), None)
    if lost is not None:
        raise CorruptError(
            f"to {action} {model}:{version} is on record, and every alias that can be read is told, but {lost.message}",
            advice=f"{lost.remedy}; then do it again, which tells that alias too",
        ) from lost
    return tuple(alias for alias, reached in zip(names, told, strict=True) if reached is True)


def _tell_alias(session: Session, model: ModelName, version: int, alias: AliasName, action: Action) -> bool:
    """Put the version's decisions into an alias that names it; return whether it does.

    They are read after the alias's state that is replaced: otherwise an approval on its way could overwrite a refusal
    that was told meanwhile.
    """
    reached, refused = [False], action in REFUSALS

    def edit(old: AliasRegister | None) -> Change[AliasRegister]:
        register = old or AliasRegister(session.registry.registry, model, alias)
        target = register.target
        reached[0] = target is not None and target.version == version
        if target is None or target.version != version:
            if not refused:
                raise _NothingToTellError
            return Change(register, AuditAction.RECHECK_PROMOTIONS, target=str(version), detail={"for": action})
        told = _with_decisions(session, register, target)
        if not refused and register.reviews == told.reviews:
            raise _NothingToTellError
        state = told.target.state if told.target else None
        return Change(told, AuditAction.UPDATE_STATE, target=str(version), detail={"state": state, "for": action})

    with suppress(_NothingToTellError):
        commit_alias(session, model, alias, edit)
    return reached[0]


def renew_alias(session: Session, model: ModelName, alias: AliasName) -> bool:
    """Let an alias carry the state of its version and the decisions about it as they are; return whether it did not.

    What a decision that was interrupted left is ended by it, and an alias that was changed by hand is right again.
    """

    def edit(old: AliasRegister | None) -> Change[AliasRegister]:
        if old is None or old.target is None:
            raise _NothingToTellError
        told = _with_decisions(session, old, old.target)
        if told == old:
            raise _NothingToTellError
        state = told.target.state if told.target else None
        detail = {"state": state, "for": AuditAction.REPAIR}
        return Change(told, AuditAction.UPDATE_STATE, target=str(old.target.version), detail=detail)

    try:
        commit_alias(session, model, alias, edit)
    except _NothingToTellError:
        return False
    return True


def _with_decisions(session: Session, register: AliasRegister, target: AliasTarget) -> AliasRegister:
    """Return an alias's register with the state of what it names, and the decisions about that, as they are now."""
    head = load_existing_head(session, register.model)
    row = load_row(session, head, target.version)
    decisions = load_decisions(session, load_dossier(session, head, row))
    # Not always the row's state: a rejected version may be on its way out, or retired.
    state = State.REJECTED if any(d.statement.action in REFUSALS for d in decisions) else row.state
    return replace(register, reviews=carried_reviews(decisions), target=replace(target, state=state))


class _NothingToTellError(Exception):
    """The alias names another version, or carries all this already."""


def _end_of_approval(policy: Policy, created: str) -> str | None:
    if policy.approval_expires_days is None:
        return None
    end = datetime.fromisoformat(created) + timedelta(days=policy.approval_expires_days)
    return end.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_decision(statement: Statement) -> Decision:
    review = Review(encode_statement(statement))
    return decode_review(encode_review(review), what="the decision")
