"""Does one shard of shared work: verifies its chunks, and writes what it found unless somebody has.

It may be killed at any moment and done again, also by several at once: the first result stays, and who comes later ends
at once.
"""

from __future__ import annotations

import hashlib
import socket
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, CorruptError, NotFoundError, UsageError, reason_of
from bucketry.frozen import frozen
from bucketry.registry.core.immutable import find_object, put_first
from bucketry.registry.core.writing import Readable
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.work import (
    Piece,
    WorkPlan,
    WorkResult,
    decode_plan,
    decode_result,
    decode_shard,
    encode_result,
)
from bucketry.schema.text import displayable
from bucketry.store.contract import ETag, ObjectNotFoundError, PreconditionFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.core.session import Session
    from bucketry.store.contract import Store

READ_BYTES = 1024 * 1024
ANEW = "plan it anew with `bucketry work plan`"


@frozen
class DoneShard:
    """What a shard came to, and whether somebody had done it before."""

    result: WorkResult
    was_done: bool


def load_plan(session: Session, work: str) -> WorkPlan:
    """Return a plan; raise `NotFoundError`, and `CorruptError` for that of another registry."""
    key = keys.work_plan(work)
    found = find_object(session.store, key) if keys.find_work_place(key) is not None else None
    if found is None:
        raise NotFoundError(
            f"there is no plan {displayable(work)} in {session.store.name}",
            advice="`bucketry work list` names those that there are",
        )
    plan = decode_plan(found.body, what=key)
    session.check_registry(plan.registry, key=key)
    return plan


def load_shard(session: Session, plan: WorkPlan, number: int) -> tuple[Piece, ...]:
    """Return the pieces of a shard, which are those that were planned; else raise `CorruptError`."""
    key = keys.work_shard(plan.work, number)
    found = find_object(session.store, key)
    if found is None or digest_of(found.body) != plan.shards[number].sha256:
        raise CorruptError(f"{key} is missing, or is not what was planned", advice=ANEW)
    return decode_shard(found.body, what=key)


def find_result(session: Session, work: str, number: int) -> WorkResult | None:
    """Return what a shard came to, or None where nobody has done it; raise `CorruptError`."""
    key = keys.work_result(work, number)
    found = find_object(session.store, key)
    return decode_result(found.body, what=key) if found is not None else None


def run_shard(
    session: Session, work: str, number: int, progress: Callable[[int, int], None] | None = None
) -> DoneShard:
    """Do a shard, unless it is done; raise `UsageError` for one that the plan does not have."""
    session.check_not_read_only()
    plan = load_plan(session, work)
    if not 0 <= number < len(plan.shards):
        raise UsageError(
            f"{work} has no shard {number:,}", advice=f"its {len(plan.shards):,} shards are counted from 0"
        )
    known = find_result(session, work, number)
    if known is not None:
        return DoneShard(known, was_done=True)
    started_seconds = session.clock.monotonic_seconds()
    pieces = load_shard(session, plan, number)
    ended = count(1)

    def verify(piece: Piece) -> str:
        problem = _find_problem(session.store, piece)
        if progress is not None:
            progress(next(ended), len(pieces))
        return problem

    problems = session.map_in_parallel(verify, pieces)
    result = WorkResult(
        work=work,
        shard=number,
        at=session.clock.timestamp(),
        by=session.actor,
        host=socket.gethostname(),
        seconds=round(session.clock.monotonic_seconds() - started_seconds, 3),
        size_bytes=plan.shards[number].size_bytes,
        problems={index: problem for index, problem in enumerate(problems) if problem},
    )
    item = Readable(keys.work_result(work, number), encode_result(result))
    if put_first(session.store, item, clock=session.clock) is None:
        theirs = find_result(session, work, number)
        if theirs is not None:
            return DoneShard(theirs, was_done=True)
    return DoneShard(result, was_done=False)


def _find_problem(store: Store, piece: Piece) -> str:
    """Return what is wrong with a piece, or "". The digest of the whole is compared where the piece is the whole."""
    place = keys.find_blob_place(keys.model_of_key(piece.key), piece.key)
    whole = hashlib.sha256()
    buffer = memoryview(bytearray(min(READ_BYTES, piece.chunk_bytes, piece.stop - piece.start)))
    try:
        for number, expected in enumerate(piece.sha256, piece.first):
            start = number * piece.chunk_bytes
            stop = min(piece.stop, start + piece.chunk_bytes)
            chunk = hashlib.sha256()
            with store.open_range(piece.key, start, stop, etag=ETag(piece.etag)) as stream:
                for count_bytes in iter(partial(stream.readinto, buffer), 0):
                    chunk.update(buffer[:count_bytes])
                    if len(piece.sha256) > 1 and piece.is_whole:
                        whole.update(buffer[:count_bytes])
            if chunk.hexdigest() != expected:
                return f"chunk {number + 1} is not what the manifest says"
    except (ObjectNotFoundError, PreconditionFailedError):
        return "it was replaced or removed since it was planned"
    except UNREADABLE as error:
        return f"it cannot be read: {reason_of(error)}"
    digest = piece.sha256[0] if len(piece.sha256) == 1 else whole.hexdigest()
    if piece.is_whole and place is not None and digest != place[1]:
        return "it is not what its SHA-256 says, though each chunk is right"
    return ""
