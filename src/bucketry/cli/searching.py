"""What the commands share that ask the local index: how a query is typed, and how fresh the answer is."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import DocumentedCommand
from bucketry.cli.documents import damaged_document
from bucketry.clock import format_time
from bucketry.index.freshness import IndexFreshness, freshen
from bucketry.index.refresh import refresh_index
from bucketry.index.store import open_index
from bucketry.show.figures import age_text, count_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bucketry.cli.call import Call
    from bucketry.index.search import FoundAlias
    from bucketry.index.store import Index
    from bucketry.registry.core.session import Session

_NEGATED = re.compile(
    r"-(?:(?:state|author|alias|model|label|base|data|notes):|[A-Za-z][\w.@%/\[\]=,-]*(?:[<>]|!=)).*", re.DOTALL
)
"""A part of a query that begins with `-`, told from an option by what no option has: a field's colon, `<` or `>`."""


class QueryCommand(DocumentedCommand):
    """A command that takes a query, in which `-state:retired` is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, with `!` for the minus of a part that must not hold."""
        end = args.index("--") if "--" in args else len(args)
        spelled = [f"!{arg[1:]}" if _NEGATED.fullmatch(arg) else arg for arg in args[:end]]
        return super().parse_args(ctx, [*spelled, *args[end:]])


def query_command(name: str, *, example: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function as `command` does, for one that takes a query."""

    def decorate(function: Callable[..., None]) -> click.Command:
        return click.command(name, cls=QueryCommand, example=example)(click.pass_obj(function))

    return decorate


@contextmanager
def fresh_index(
    call: Call, session: Session, *, details: bool, offline: bool = False, required: bool = False
) -> Iterator[Index]:
    """Open the local index, as fresh as it can be, and say where it is not.

    Where freshness is `required`, a bucket that cannot be reached is a failure.
    """
    with open_index(session) as index:
        with call.messages.progress() as line:

            def show(what: str, done: int, total: int) -> None:
                listener = line.count_listener(f"reading {what}")
                if listener is not None:
                    listener(done, total)

            if required:
                freshness = IndexFreshness(refresh_index(index, session, details=details, progress=show))
            else:
                freshness = freshen(index, session, details=details, offline=offline, progress=show)
        _say_freshness(call, session, freshness, details=details)
        yield index


def found_aliases_document(aliases: Sequence[FoundAlias]) -> list[dict[str, object]]:
    """Return the aliases that name a version, as every command has them."""
    return [
        {
            "alias": found.alias,
            "version": found.version,
            "manifest": found.manifest,
            "generation": found.generation,
            "since": found.since or None,
            "by": found.by or None,
        }
        | damaged_document(found.damaged)
        for found in aliases
    ]


def note_damage(call: Call, reasons: Iterable[str]) -> None:
    """Say on standard error what is damaged of what is shown, each reason once."""
    for reason in dict.fromkeys(reason for reason in reasons if reason):
        call.messages.note(f"damaged: {reason}; run `bucketry fsck`")


def _say_freshness(call: Call, session: Session, freshness: IndexFreshness, *, details: bool) -> None:
    if freshness.as_of is not None:
        age = age_text(format_time(freshness.as_of), session.clock.now())
        call.messages.note(f"this is {age} old, from the local index: {freshness.reason}")
    refreshed = freshness.refreshed
    if refreshed is None:
        return
    if refreshed.fault_count:
        what = count_of(refreshed.fault_count, "object")
        call.messages.note(
            f"{what} could not be read, the first: {refreshed.faults[0]}; see what is shown as damaged,"
            " run `bucketry fsck`"
        )
    if details and refreshed.details_left > refreshed.fault_count:
        call.messages.note(f"{count_of(refreshed.details_left, 'version')} could not be asked about more than its row")
