"""`review`: asks for a review, approves, rejects, revokes and comments."""

from __future__ import annotations

import base64
import shlex
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import CommandGroup, command
from bucketry.cli.documents import decided_document
from bucketry.cli.parameters import FILE, REFERENCE, sign_option
from bucketry.errors import CorruptError, UsageError
from bucketry.registry.core.registers import existing_head, load_head
from bucketry.registry.core.resolve import load_manifest, load_version_number
from bucketry.registry.core.rows import load_row
from bucketry.registry.reading.compare import find_comparison
from bucketry.registry.review.reviewing import decide, prepare_decision, record_decision
from bucketry.registry.review.signing import open_signer, read_signed
from bucketry.schema.documents.reviews import Action, Review, encode_statement
from bucketry.schema.judging.comparison_document import diff_digest
from bucketry.schema.names import parse_alias
from bucketry.show.comparison import counted_verdicts
from bucketry.show.figures import count_of

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.cli.call import Call
    from bucketry.registry.core.commit import Current
    from bucketry.registry.core.session import Session
    from bucketry.registry.review.reviewing import RecordedDecision
    from bucketry.schema.documents.head import Head
    from bucketry.schema.documents.reviews import Statement
    from bucketry.schema.names import Digest, ModelName, Reference

DEFAULT_BASELINE = "production"
COMMENT = click.option("--comment", default="", show_default=False, metavar="TEXT", help="What to put on record.")
SIGN = sign_option("Write REF before it.")
DETACHED = click.option("--detached", is_flag=True, help="Decide nothing; print what to sign on another machine.")
SIGNATURE = click.option(
    "--signature", type=FILE, metavar="FILE", help="Submit what was signed elsewhere: a .sig beside its payload."
)


@command("request", example='bucketry review request acme/chat:3 --comment "ready for production"')
@click.argument("reference", metavar="REF", type=REFERENCE)
@COMMENT
def request(call: Call, reference: Reference, comment: str) -> None:
    """Ask the reviewers to look at a version."""
    _decide(call, reference, Action.REQUEST, comment)


@command("comment", example='bucketry review comment acme/chat:3 --comment "slow on long prompts"')
@click.argument("reference", metavar="REF", type=REFERENCE)
@COMMENT
def remark(call: Call, reference: Reference, comment: str) -> None:
    """Put a comment on record, without a decision."""
    if not comment.strip():
        raise UsageError("a comment needs a text", advice="write it after --comment")
    _decide(call, reference, Action.COMMENT, comment)


def _signable(name: str, action: Action, example: str, text: str) -> click.Command:
    """Return the command for a decision that can be signed here, or elsewhere."""

    @command(name, example=example)
    @click.argument("reference", metavar="REF", type=REFERENCE)
    @COMMENT
    @SIGN
    @DETACHED
    @SIGNATURE
    def run_one(
        call: Call, reference: Reference, comment: str, key: str | None, signature: Path | None, *, detached: bool
    ) -> None:
        if sum((key is not None, detached, signature is not None)) > 1:
            raise UsageError("--sign, --detached and --signature exclude each other", advice="give one of them")
        if signature is not None:
            _submit(call, reference, action, signature, comment)
        elif detached:
            _print_payload(call, reference, action, comment)
        else:
            _decide(call, reference, action, comment, key=key)

    run_one.help = text
    return run_one


def _decide(call: Call, reference: Reference, action: Action, comment: str, *, key: str | None = None) -> None:
    session = call.open()
    version = load_version_number(session, reference)
    base, diff = _compare(call, session, reference.model, version, action)

    def sign(statement: Statement) -> Review:
        if key is None:
            return Review(encode_statement(statement))
        return open_signer(key or None, ask_passphrase=call.messages.ask_passphrase)(statement)

    decided = decide(session, reference.model, version, action, comment=comment, diff=diff, base=base, sign=sign)
    _tell(call, decided)


def _compare(
    call: Call, session: Session, model: ModelName, version: int, action: Action
) -> tuple[Current[Head], Digest | None]:
    """Return the head, and the digest of how the version compares with production, if that is there.

    Whoever approves is told of it, and what was told is on record.
    """
    base = load_head(session, model)
    if action is not Action.APPROVE:
        return base, None
    head = existing_head(session, model, base.state)
    row = load_row(session, head, version)
    load_manifest(session, model, row.manifest)
    try:
        diff = find_comparison(session, head, row, parse_alias(DEFAULT_BASELINE))
    except CorruptError as error:  # the version itself was read: what serves now must not keep out its successor
        call.messages.note(f"there is no comparison with {DEFAULT_BASELINE}: {error.message}")
        return base, None
    if diff is None:
        return base, None
    told = counted_verdicts(diff) or "no metric in common"
    call.messages.note(f"against {DEFAULT_BASELINE} (version {diff.baseline.version}): {told}")
    return base, diff_digest(diff)


def _print_payload(call: Call, reference: Reference, action: Action, comment: str) -> None:
    """Print the bytes to sign: exactly, so that they can be sent into a file."""
    session = call.open()
    version = load_version_number(session, reference)
    base, diff = _compare(call, session, reference.model, version, action)
    prepared = prepare_decision(session, reference.model, version, action, comment=comment, diff=diff, base=base)
    statement = prepared.statement
    payload = encode_statement(statement)
    sign = f"ssh-keygen -Y sign -n {statement.namespace} -f KEY decision.json"
    submit = f"bucketry review {action} {shlex.quote(str(reference))} --signature decision.json.sig"
    if call.as_json:
        document = {
            "payload": base64.b64encode(payload).decode("ascii"),
            "namespace": statement.namespace,
            "sign": sign,
            "submit": submit,
        }
        call.answer(document, [])
        return
    call.output.write_bytes([payload])
    call.messages.note(f"save this as decision.json, sign it where your key is: {sign}")
    call.messages.note(f"then: {submit}")


def _submit(call: Call, reference: Reference, action: Action, path: Path, comment: str) -> None:
    """Put on record what was signed elsewhere, if it is what the command line says: nobody submits it unread."""
    from bucketry.schema.documents.reviews import decode_statement  # noqa: PLC0415 - beside its one use

    session = call.open()
    review = read_signed(path)
    statement = decode_statement(review.payload, what="the signed decision")
    version = load_version_number(session, reference)
    if (statement.model, statement.version, statement.action) != (reference.model, version, action):
        raise UsageError(
            f"what was signed is to {statement.action} {statement.model}:{statement.version}, "
            f"not to {action} {reference.model}:{version}",
            advice="sign what --detached printed for this version",
        )
    if comment not in ("", statement.comment):
        raise UsageError(
            "the comment is not the one that was signed", advice="leave --comment out: the signed one goes on record"
        )
    _tell(call, record_decision(session, review))


def _tell(call: Call, decided: RecordedDecision) -> None:
    approvals = decided.approvals
    need = max(1, approvals.required)
    told = f"{decided.model}:{decided.version} is {decided.state} now"
    if decided.action is Action.APPROVE:
        told += f" ({len(approvals.principals)} of {count_of(need, 'approval')})"
    lines = [told]
    if decided.reached:
        lines.append(f"told {', '.join(decided.reached)}")
    call.answer(decided_document(decided), lines)
    for principal, reason in approvals.dropped:
        call.messages.note(f"the approval of {principal} does not count: {reason}")
    if decided.not_withdrawn:
        call.messages.note(
            f"engines may still load {decided.model}:{decided.version} from serve/: {decided.not_withdrawn}; "
            "who may delete there runs `bucketry gc --apply`"
        )


run = CommandGroup(
    "review",
    example='bucketry review approve acme/chat:3 --comment "better on every slice" --sign',
    commands=[
        request,
        _signable(
            "approve",
            Action.APPROVE,
            "bucketry review approve acme/chat:3 --sign",
            "Approve a version. Refused while a gate of its policy fails.\n\n"
            "To approve again renews an approval before it ends.",
        ),
        _signable(
            "reject",
            Action.REJECT,
            'bucketry review reject acme/chat:3 --comment "worse for 18-25"',
            "Reject a version, for ever, with the reason in --comment.\n\n"
            "Every alias that names it learns of it before this returns.",
        ),
        _signable(
            "revoke",
            Action.REVOKE,
            'bucketry review revoke acme/chat:3 --comment "leaks training data"',
            "Take back the approval of a version, for ever, with the reason in --comment.\n\n"
            "Every alias that names it learns of it before this returns.",
        ),
        remark,
    ],
    help="Ask for a review, comment, approve, reject or revoke.",
)
