"""What the commands share that ask the local index: how fresh the answer is, and the aliases that it finds."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from bucketry.cli.documents import damaged_document
from bucketry.clock import format_time
from bucketry.index.freshness import IndexFreshness, freshen
from bucketry.index.refresh import refresh_index
from bucketry.index.store import open_index
from bucketry.show.figures import age_text, count_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bucketry.cli.call import Call
    from bucketry.index.search import FoundAlias
    from bucketry.index.store import Index
    from bucketry.registry.core.session import Session


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
