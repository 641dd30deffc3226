"""`watch`: follows an alias and tells each move."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.parameters import ALLOW_REJECTED, REFERENCE, TRUST, FiniteRange
from bucketry.clock import Backoff
from bucketry.errors import BucketryError, UnavailableError
from bucketry.registry.serving.hooks import SECRET_VARIABLE, move_fields, parse_command, parse_post
from bucketry.registry.serving.materialize import materialize
from bucketry.registry.serving.watch import watch
from bucketry.schema.documents.states import State
from bucketry.schema.names import ByVersion, Reference

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.cli.call import Call
    from bucketry.registry.core.session import Session
    from bucketry.registry.serving.hooks import CommandHook, PostHook
    from bucketry.registry.serving.watch import WatchedMove

LONGEST_INTERVAL_SECONDS = 86_400.0
MOST_TRIES = 4
"""So often a version is materialized while the store is away; then the move is told without it."""


@command("watch", example='bucketry watch acme/chat@production --exec "systemctl reload serving"')
@click.argument("reference", metavar="REF", type=REFERENCE)
@click.option(
    "--exec",
    "command_line",
    metavar="CMD",
    help="Run a program for each line, which it gets on stdin; no shell reads CMD (for one: \"sh -c '...'\").",
)
@click.option("--post", metavar="URL", help=f"Post each line, signed with HMAC-SHA256 by ${SECRET_VARIABLE}.")
@click.option(
    "--interval",
    type=FiniteRange(0.1, LONGEST_INTERVAL_SECONDS),
    default=30.0,
    metavar="S",
    help="Seconds between two looks, give or take 5 %.",
)
@click.option(
    "--materialize",
    "materializes",
    is_flag=True,
    show_default=False,
    help="Put each version under its own file names below serve/ before it is told; the line then has its uri.",
)
@TRUST
@ALLOW_REJECTED
def run(
    call: Call,
    *,
    reference: Reference,
    command_line: str | None,
    post: str | None,
    interval: float,
    materializes: bool,
    trust: Path | None,
    allow_rejected: bool,
) -> None:
    """Follow an alias: a line of JSON for each change, a command or a post.

    The first line is what it names now; it goes on until it is interrupted.

    A refusal of the version that it names is a change too: its state is then "rejected". A command gets the same as
    BUCKETRY_MOVE_VERSION, BUCKETRY_MOVE_MANIFEST and so on, and the registry as BUCKETRY_REGISTRY.
    One that fails is told, and the watch goes on.

    A move to a version that was rejected or revoked is left out, with a note of why, and the watch goes on; so is one
    that a trust file does not accept, which --allow-rejected does not change. That the version of the last line was
    rejected is told all the same.
    """
    session = call.open(serves=True, trust=trust)
    if materializes:
        session.check_writable()
    hooks: list[CommandHook | PostHook] = []
    if command_line is not None:
        hooks.append(parse_command(command_line, registry=session.profile.url if session.profile else None))
    if post is not None:
        hooks.append(parse_post(post, secret=os.environ.get(SECRET_VARIABLE), clock=session.clock))

    def note_refusal(move: WatchedMove, refusal: BucketryError) -> None:
        version = "no version" if move.version is None else f"version {move.version}"
        call.messages.note(f"the move of {reference} to {version} is left out: {refusal.message}")

    moves = watch(session, reference, interval_seconds=interval, allow_rejected=allow_rejected, on_refusal=note_refusal)
    for move in moves:
        served = {"uri": _materialize(call, session, move, interval)} if materializes else {}
        call.output.write_document(move_fields(move) | served)
        call.output.flush()
        for hook in hooks:
            try:
                hook.tell(move)
            except UnavailableError as error:
                call.messages.note(error.message)


def _materialize(call: Call, session: Session, move: WatchedMove, interval_seconds: float) -> str | None:
    """Put a version under its own file names and return where; None for no version, and where it could not be done."""
    if move.version is None or move.state is State.REJECTED:
        return None
    reference = Reference(move.model, ByVersion(move.version))
    backoff = Backoff(session.clock, first_seconds=interval_seconds, most_tries=MOST_TRIES)
    try:
        return backoff.insist(lambda: materialize(session, reference)).uri
    except BucketryError as error:
        call.messages.note(f"{reference} is not materialized: {error.message}")
        return None
