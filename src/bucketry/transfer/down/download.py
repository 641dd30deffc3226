"""Makes local files of objects, where no chunk counts before its digest was found right.

First come the chunks that are near: those that earlier work on the same folder verified, and those that lie in older
versions or in the cache. All others wait in one queue, from which as many threads take as the link is found to bear.
Nothing here makes a file or a folder appear under its final name: the caller gives a staging folder, and `target`
makes it appear when all of it is right.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import UnsupportedError
from bucketry.frozen import frozen
from bucketry.store.contract import AsksAhead
from bucketry.transfer.disk.local_files import NoRoomError, find_free_bytes
from bucketry.transfer.disk.staged_files import StagedFile, order_pieces
from bucketry.transfer.down.ahead import SmallFiles, bundle
from bucketry.transfer.down.chunk_work import ChunkWork, make_buffer
from bucketry.transfer.down.journal import Journal, read_journals
from bucketry.transfer.down.receive import Receiver
from bucketry.transfer.down.remote import check_consistent
from bucketry.transfer.down.reuse import local_objects
from bucketry.transfer.down.siblings import Siblings
from bucketry.transfer.pace.concurrency import Concurrency
from bucketry.transfer.pace.progress import ProgressMeter
from bucketry.transfer.pace.ratelimit import RateLimit
from bucketry.transfer.pace.workers import Gate, Halt, run_parallel
from bucketry.transfer.plan import TransferOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bucketry.store.contract import Store
    from bucketry.transfer.disk.staged_files import PlannedChunk
    from bucketry.transfer.disk.staging import Staging
    from bucketry.transfer.down.journal import Chunk
    from bucketry.transfer.down.processes import OpenStore
    from bucketry.transfer.down.remote import Plan, RemoteFile
    from bucketry.transfer.down.reuse import Source
    from bucketry.transfer.pace.controls import Controls

FEWEST_CONNECTIONS_TO_ASK_AHEAD = 4


@frozen
class LocalSources:
    """What may spare a fetch: earlier and simultaneous work on the same plan, and older versions.

    The plan has all files of the staging folder, of which those that are fetched may be a part.
    """

    staging: Staging
    plan: Plan
    sources: Sequence[Source] = ()


@frozen
class FetchOutcome:
    """What a fetch moved. `fetched_bytes` came from the store, each counted once; `reused_bytes` were here.

    `retries` counts requests sent again.
    """

    files: int
    chunks: int
    fetched_bytes: int
    reused_bytes: int
    retries: int
    seconds: float


def fetch(
    store: Store,
    files: Sequence[RemoteFile],
    directory: Path,
    options: TransferOptions | None = None,
    *,
    nearby: LocalSources | None = None,
    open_store: OpenStore | None = None,
) -> FetchOutcome:
    """Bring files into a staging directory that exists; without `nearby` it holds none of them yet.

    `open_store` is how other processes open the store; it can be pickled. Raises `CorruptError` for wrong bytes,
    `PreconditionFailedError` for an object replaced while it was read, `UnavailableError` when the deadline or the
    disk's space is over, `DeniedError`, `RejectedError` for a file that is there already, `Interrupted`,
    `UnsupportedError` where other processes cannot open the store. What was fetched until then stays.
    """
    options = options or TransferOptions()
    controls = options.new_controls()
    connections = controls.connections
    if options.processes != 1 and open_store is None:
        raise UnsupportedError("this registry was opened in a way that other processes cannot repeat")
    for file in files:
        check_consistent(file)
    siblings = Siblings(nearby.staging, nearby.plan) if nearby else None
    work = ChunkWork(
        receiver=_make_receiver(store, files, options, controls),
        journal=Journal(nearby.staging.outer) if nearby else None,
        siblings=siblings.find if siblings else None,
        local_store=local_objects(store.unretried.local_path),
    )
    receiver, started_at = work.receiver, options.clock.monotonic_seconds()
    try:
        with controls.obeyed_by(receiver.gate, receiver.limit, receiver.meter.snapshot):
            left = _find_left(work, files, directory, nearby, siblings, connections)
            _check_space(directory, left, nearby)
            _bring(work, left, directory, connections, open_store)
    finally:
        if work.journal is not None:
            work.journal.close()
        receiver.meter.close()
    return FetchOutcome(
        files=len(files),
        chunks=sum(len(file.chunk_sha256) for file in files),
        fetched_bytes=work.tally.fetched_bytes,
        reused_bytes=work.tally.reused_bytes,
        retries=receiver.meter.snapshot().retries,
        seconds=options.clock.monotonic_seconds() - started_at,
    )


def _make_receiver(store: Store, files: Sequence[RemoteFile], options: TransferOptions, controls: Controls) -> Receiver:
    halt = Halt(options.stop)
    options = replace(options, clock=halt.interrupting(options.clock))
    gate = Gate(Concurrency(controls.connections, clock=options.clock.monotonic_seconds))
    return Receiver(
        store=store.unretried,  # retries are this layer's own: it goes on where a chunk broke
        options=options,
        limit=RateLimit(controls.limit_bytes_per_second, options.clock),
        halt=halt,
        gate=gate,
        meter=ProgressMeter(
            total_bytes=sum(file.size_bytes for file in files),
            total_files=len(files),
            listener=options.on_transfer,
            connections=lambda: gate.level,
        ),
    )


def _bring(
    work: ChunkWork,
    pieces: Sequence[PlannedChunk],
    directory: Path,
    connections: int,
    open_store: OpenStore | None,
) -> None:
    """Fetch chunks: by one process with small files apart, by one without, or by several.

    More threads than connections may stand ready for when more are allowed.
    """
    options = work.receiver.options
    if options.processes != 1 and open_store is not None:
        from bucketry.transfer.down.processes import fetch_by_processes  # noqa: PLC0415 - one process needs no pipes

        fetch_by_processes(work, pieces, open_store, directory, connections)
        return
    receiver = work.receiver
    items = bundle(pieces)
    small = _small_files(work, items, directory, connections)

    def bring(buffer: memoryview, item: Sequence[PlannedChunk]) -> None:
        if small is not None and len(item) > 1:
            small.bring(item, buffer)
        else:
            for piece in item:
                work.bring(buffer, piece)

    run_parallel(
        items if small is not None else [(piece,) for piece in pieces],
        bring,
        make_context=make_buffer,
        connections=max(options.most_threads, connections),
        halt=receiver.halt,
        gate=receiver.gate,
    )


def _small_files(
    work: ChunkWork, items: Sequence[Sequence[PlannedChunk]], directory: Path, connections: int
) -> SmallFiles | None:
    """Return who brings the bundles, and with how many of the connections; None where that is not worth it."""
    bundles = sum(len(item) > 1 for item in items)
    store, limit = work.receiver.store, work.receiver.limit.bytes_per_second
    if bundles == 0 or connections < FEWEST_CONNECTIONS_TO_ASK_AHEAD or limit is not None:
        return None
    if not isinstance(store, AsksAhead):
        return None
    # Half of them if there are large files, which take the other half until the last small one has come.
    window = connections if bundles == len(items) else connections // 2
    gate = work.receiver.gate
    gate.lend(window - 1)
    return SmallFiles(work, store, directory, window, bundles, lambda: gate.lend(0))


def _find_left(
    work: ChunkWork,
    files: Sequence[RemoteFile],
    directory: Path,
    nearby: LocalSources | None,
    siblings: Siblings | None,
    connections: int,
) -> list[PlannedChunk]:
    """Return the chunks that are to be fetched, in order, when all that is near has been taken."""
    # In the staging folder they are numbered as the plan numbers them.
    numbers = {file.path: number for number, file in enumerate(nearby.plan.files if nearby else files)}
    resumed = nearby is not None and nearby.staging.resumed
    left = order_pieces([StagedFile(numbers[file.path], file, directory, may_exist=resumed) for file in files])
    if nearby is not None:
        left = _take_what_is_near(work, left, nearby, connections)
    if siblings is not None and siblings.has_any_alive():
        left.reverse()  # so that we meet in the middle
    return left


def _take_what_is_near(
    work: ChunkWork, pieces: Sequence[PlannedChunk], nearby: LocalSources, connections: int
) -> list[PlannedChunk]:
    """Bring what is on this machine to its place, verified; return the chunks that are left, in order of fetching."""
    journaled: set[Chunk] = read_journals(nearby.staging.outer) if nearby.staging.resumed else set()
    taken: set[Chunk] = set()

    def take(buffer: memoryview, piece: PlannedChunk) -> None:
        chunk = (piece.staged.number, piece.index)
        if work.take_near(piece, buffer, nearby.sources, is_journaled=chunk in journaled):
            taken.add(chunk)

    if journaled or nearby.sources:
        run_parallel(
            [piece for piece in pieces if piece.size_bytes > 0],
            take,
            make_context=make_buffer,
            connections=min(connections, (os.cpu_count() or 1) + 1),
            halt=work.receiver.halt,
        )
    return [piece for piece in pieces if (piece.staged.number, piece.index) not in taken]


def _check_space(directory: Path, pieces: Sequence[PlannedChunk], nearby: LocalSources | None) -> None:
    """Raise before anything is fetched for which there is no room, as far as the file system says."""
    if nearby is not None and nearby.staging.resumed:
        return  # part of what is left has its room already
    place = directory if nearby is None else nearby.staging.destination
    needed_bytes, free_bytes = sum(piece.size_bytes for piece in pieces), find_free_bytes(directory)
    if free_bytes is not None and needed_bytes > free_bytes:
        raise NoRoomError(
            f"the disk is full: {needed_bytes:,} bytes are to be fetched, and {free_bytes:,} are free at {place}",
            advice="free some space, or choose another path, then run it again",
        )
