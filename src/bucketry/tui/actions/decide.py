"""Decide about a version from a screen: ask, sign where there is a key to sign with, and put it on record.

It is a call of the same service as `review` on the command line, on what the user was shown: a version that changed
since then is not decided about, and who changed it is said.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.registers import existing_head, load_head
from bucketry.registry.review.policies import load_policy
from bucketry.registry.review.reviewing import check_may_decide
from bucketry.registry.review.reviewing import decide as decide_on_record
from bucketry.registry.review.signing_keys import find_signing_keys
from bucketry.schema.documents.reviews import REFUSALS, Action, Review, encode_statement
from bucketry.schema.documents.states import State
from bucketry.schema.judging.decisions import action_on
from bucketry.schema.text import displayable
from bucketry.show.figures import count_of
from bucketry.show.reviews import SIGNED
from bucketry.show.spans import Span
from bucketry.show.states import state_word
from bucketry.tui.actions.panels import VersionAction, serving_alias
from bucketry.tui.actions.seen import DECIDED, check_unchanged
from bucketry.tui.shell.asking import Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bucketry.errors import BucketryError
    from bucketry.index.views import VersionLine
    from bucketry.registry.core.session import Session
    from bucketry.registry.review.reviewing import RecordedDecision
    from bucketry.registry.review.signing_keys import SigningKey, SigningKeys
    from bucketry.schema.documents.reviews import Statement
    from bucketry.schema.names import Digest
    from bucketry.tui.shell.view import Shell

SAID: Mapping[Action, str] = {Action.COMMENT: "commented on {}", Action.REQUEST: "requested a review of {}"}
"""What is said of an action that decides nothing."""
MOST_KEYS_OFFERED = 9
FINGERPRINT_CHARACTERS = 15
"""Of a key among several: enough to tell them apart."""


@frozen
class DecisionDraft:
    """What a user wants on record about a version, as it was shown.

    `generation` is how far the model's history had been seen then, `diff` the comparison that was shown, if one was.
    """

    row: VersionLine
    action: Action
    comment: str
    generation: int | None
    diff: Digest | None = None

    @property
    def reference(self) -> str:
        """The version's name."""
        return f"{self.row.model}:{self.row.version}"


def decide(shell: Shell, wish: DecisionDraft, failed: Callable[[BucketryError], None]) -> None:
    """Record a decision; what may be signed is, by the user's key in the SSH agent, where there is one."""
    if wish.action not in SIGNED:
        _write(shell, wish, None, "", failed)
        return

    def looked(found: SigningKeys) -> None:
        if found.chosen is not None or not found.keys:
            _write(shell, wish, found.chosen, found.why, failed)
            return
        offered = {
            str(place): (_key_word(key), partial(_write, shell, wish, key, "", failed))
            for place, key in enumerate(found.keys[:MOST_KEYS_OFFERED], start=1)
        }
        shell.choose(Choice(f"sign as {shell.session.actor} with", offered))

    shell.flash("looking for a key to sign with ...", "dim")
    shell.background.start("signing-keys", lambda: find_signing_keys(shell.session), looked, failed)


def _key_word(key: SigningKey) -> str:
    return f"{displayable(key.comment)} {key.fingerprint[:FINGERPRINT_CHARACTERS]}".strip()


def _write(
    shell: Shell, wish: DecisionDraft, key: SigningKey | None, why: str, failed: Callable[[BucketryError], None]
) -> None:
    words: tuple[str, ...] = ("review", wish.action.value, wish.reference)
    words += ("--comment", wish.comment) if wish.comment else ()
    words += ("--sign", key.fingerprint) if key is not None else ()
    shell.write(
        words, lambda session: _record(session, wish, key, why), lambda done: _tell(shell, done, key, why), failed
    )


def _record(session: Session, wish: DecisionDraft, key: SigningKey | None, why: str) -> RecordedDecision:
    row = wish.row
    minds = DECIDED if wish.action in SIGNED else ()
    base = load_head(session, row.model)
    head = existing_head(session, row.model, base.state)
    check_unchanged(session, row, head=head, generation=wish.generation, minds=minds)

    def sign(statement: Statement) -> Review:
        if key is not None:
            from bucketry.registry.review.signing import open_signer  # noqa: PLC0415 - loads cryptography

            return open_signer(key.fingerprint)(statement)
        if wish.action in SIGNED and load_policy(session, head).signatures == "required":
            raise UsageError(
                f"the policy of {row.model} wants signed decisions, and {why}",
                advice=f"then decide again, or use: bucketry review {wish.action} {wish.reference} --detached",
            )
        return Review(encode_statement(statement))

    return decide_on_record(
        session, row.model, row.version, wish.action, comment=wish.comment, diff=wish.diff, base=base, sign=sign
    )


def _approved(decided: RecordedDecision) -> str:
    """Say how many approvals there are of those that are needed."""
    approvals, needed = decided.approvals, max(1, decided.approvals.required)
    count, reference = len(approvals.principals), f"{decided.model}:{decided.version}"
    if decided.state is State.APPROVED:
        return f"{reference} is approved now ({count} of {count_of(needed, 'approval')})"
    waits = f"waits for {needed - count} more" if count < needed else f"is {state_word(decided.state)} still"
    return f"approved {reference}: {count} of {count_of(needed, 'approval')}, it {waits}"


def _tell(shell: Shell, decided: RecordedDecision, key: SigningKey | None, why: str) -> None:
    told = f"{decided.model}:{decided.version} is {state_word(decided.state)} now"
    if decided.action is Action.APPROVE:
        told = _approved(decided)
    elif decided.action in SAID:
        told = SAID[decided.action].format(f"{decided.model}:{decided.version}")
    if decided.reached:
        told += f"; told {', '.join(decided.reached)}"
    if key is not None:
        told += f"; signed by {_key_word(key)}"
    elif why:
        told += f"; NOT signed: {why}"
    shell.flash(told, "good")


_LABELS: dict[Action, str] = {
    Action.APPROVE: "approve {}, comment (may be empty):",
    Action.REJECT: "reject {} for ever, reason:",
    Action.REVOKE: "revoke the approval of {} for ever, reason:",
    Action.COMMENT: "comment on {}:",
    Action.REQUEST: "request a review of {}, comment (may be empty):",
}
_NEED_TEXT = frozenset({Action.REJECT, Action.REVOKE, Action.COMMENT})


def decision_action(
    shell: Shell, row: VersionLine, generation: int | None, *, action: Action, diff: Digest | None
) -> VersionAction:
    """Return what asks for a decision about a version; `diff` is the comparison that is shown of it."""
    reference = f"{row.model}:{row.version}"
    serves = serving_alias(shell, row) if action in REFUSALS else None
    means = (
        (Span(f"Whoever pulls {row.model}@{serves.alias} is refused from then on: roll it back first (B)."),)
        if serves is not None
        else ()
    )

    def again(now: VersionLine, seen: int) -> VersionAction:
        return decision_action(shell, now, seen, action=action_on(action, now.state), diff=diff)

    return VersionAction(
        row=row,
        generation=generation,
        verb=action.value,
        label=_LABELS[action].format(reference),
        words=("review", action.value, reference),
        check=lambda session: check_may_decide(session, row.model, row.version, action),
        go=lambda text, failed: decide(shell, DecisionDraft(row, action, text, generation, diff), failed),
        again=again,
        means=means,
        serves=serves,
        needs_text=action in _NEED_TEXT,
    )
