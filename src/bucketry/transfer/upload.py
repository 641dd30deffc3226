"""How do local files become objects, without ever storing other bytes than those that were hashed?

Every object is created or left alone, never replaced: its key names its content. The pieces of all files form
one queue. A piece is read whole into its thread's buffer, hashed once more, and only then sent, so a file
that changed since its digest was taken is refused. Memory is thus the number of connections times the chunk
size.
"""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from bucketry.errors import BucketryError, CorruptError, UnavailableError, UsageError
from bucketry.store.interface import ObjectNotFoundError, PreconditionFailedError
from bucketry.transfer.hashing import changed_while_published
from bucketry.transfer.localfiles import disk_errors, open_regular, read_full
from bucketry.transfer.patience import MAX_ATTEMPTS, Attempts, Patience
from bucketry.transfer.progress import ProgressListener, ProgressMeter
from bucketry.transfer.workers import Halt, run_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from bucketry.store.interface import Part, Store
    from bucketry.transfer.hashing import FileDigest

# From this size on, asking first whether the object is there costs less than sending it in vain.
ASK_FIRST_BYTES = 1024 * 1024

Result = TypeVar("Result")
_Verdict = Literal["created", "taken", "lost"]


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to upload: `key` names its content, `label` is how messages and progress call it."""

    path: Path
    key: str
    digest: FileDigest
    label: str


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of one file: `uploaded_bytes` is 0 where the object was there already."""

    label: str
    key: str
    size_bytes: int
    uploaded_bytes: int
    already_there: bool


def upload(
    store: Store,
    files: Sequence[LocalFile],
    *,
    connections: int = 8,
    progress: ProgressListener | None = None,
    stop: threading.Event | None = None,
    patience: Patience | None = None,
) -> tuple[Uploaded, ...]:
    """Make every file an object, if absent, and return what happened to each, in their order.

    Raises `RejectedError` for a file that changed since it was hashed, `CorruptError` if another object is at
    its key, `Interrupted`, or what the store raised. Unfinished uploads are then given up, as far as the
    store allows; objects that are complete stay.
    """
    sending = _by_key(files)
    meter = ProgressMeter(
        total_bytes=sum(one.size_bytes for one in sending.values()),
        total_files=len(sending),
        listener=progress,
    )
    halt = Halt(stop)
    sender = _Sender(store, patience or Patience(), halt, meter)
    pieces = [piece for one in sending.values() for piece in one.pieces()]
    try:
        run_parallel(pieces, sender.send, make_context=_Buffer, connections=connections, halt=halt)
    except BaseException:
        sender.give_up(sending.values())
        raise
    meter.close()
    return tuple(_outcome(file, sending[file.key]) for file in files)


class _Sending:
    """One object on its way, shared by the threads that send its pieces."""

    def __init__(self, file: LocalFile) -> None:
        self.file = file
        self.size_bytes = file.digest.size_bytes
        self.lock = threading.Lock()
        self.begun = False
        self.already_there = False
        self.upload_id: str | None = None
        self.parts: dict[int, Part] = {}
        self.remaining = max(1, len(file.digest.chunks.sha256))

    def pieces(self) -> list[_Piece]:
        step = self.file.digest.chunks.size_bytes
        return [
            _Piece(self, index, index * step, min(self.size_bytes, (index + 1) * step))
            for index in range(self.remaining)
        ]


@dataclass(frozen=True, slots=True)
class _Piece:
    sending: _Sending
    index: int
    start: int
    stop: int


class _Buffer:
    """A thread's memory for one piece, which grows to the largest piece that the thread meets."""

    def __init__(self) -> None:
        self._memory = bytearray()

    def of(self, size_bytes: int) -> memoryview:
        if len(self._memory) < size_bytes:
            self._memory = bytearray(size_bytes)
        return memoryview(self._memory)[:size_bytes]


class _Sender:
    """Sends pieces; used by all threads of one upload."""

    def __init__(self, store: Store, patience: Patience, halt: Halt, meter: ProgressMeter) -> None:
        self._store = store
        self._patience = patience
        self._halt = halt
        self._meter = meter

    def send(self, buffer: _Buffer, piece: _Piece) -> None:
        sending = piece.sending
        with sending.lock:
            if not sending.begun:
                self._begin(sending)
                sending.begun = True
        if not sending.already_there:
            body = _read_piece(piece, buffer)
            if sending.upload_id is None:
                self._put_whole(sending, body)
            else:
                self._send_part(sending, sending.upload_id, piece, body)
        self._meter.advance(sending.file.label, piece.stop - piece.start)
        self._meter.count_verified_chunk()
        with sending.lock:
            sending.remaining -= 1
            is_last = sending.remaining == 0
        if is_last:
            if sending.upload_id is not None:
                self._complete(sending, sending.upload_id)
            self._meter.finish_file(sending.file.label)

    def give_up(self, all_sending: Iterable[_Sending]) -> None:
        """Free the parts of unfinished uploads: best effort, for maintenance finds what stays."""
        for sending in all_sending:
            if sending.upload_id is not None:
                with suppress(BucketryError):
                    self._store.abort_upload(sending.file.key, sending.upload_id)
                sending.upload_id = None

    def _begin(self, sending: _Sending) -> None:
        file = sending.file
        self._meter.begin_file(file.label, sending.size_bytes)
        if sending.size_bytes >= ASK_FIRST_BYTES:
            sending.already_there = self._insist(lambda: self._is_there(sending))
        if not sending.already_there and len(file.digest.chunks.sha256) > 1:
            sending.upload_id = self._insist(lambda: self._store.start_upload(file.key))

    def _put_whole(self, sending: _Sending, body: memoryview) -> None:
        self._create(sending, lambda: self._store.put_blob(sending.file.key, body))

    def _send_part(self, sending: _Sending, upload_id: str, piece: _Piece, body: memoryview) -> None:
        key = sending.file.key
        try:
            part = self._insist(lambda: self._store.upload_part(key, upload_id, piece.index + 1, piece.start, body))
        except ObjectNotFoundError as error:
            raise _lost_upload(sending) from error
        with sending.lock:
            sending.parts[part.number] = part

    def _complete(self, sending: _Sending, upload_id: str) -> None:
        parts = [sending.parts[number] for number in sorted(sending.parts)]
        self._create(sending, lambda: self._store.complete_upload(sending.file.key, upload_id, parts))
        if sending.already_there:
            self.give_up([sending])  # another was first: our parts are of no use
        sending.upload_id = None

    def _create(self, sending: _Sending, request: Callable[[], object]) -> None:
        """Send a create-only request until the object is there, by us or by another.

        After a doubtful reply the object itself is asked for: the request may have done its work.
        """
        attempts = self._attempts()
        in_doubt = False
        for _ in range(MAX_ATTEMPTS):
            self._halt.check()
            try:
                if in_doubt and self._is_there(sending):
                    return
                verdict = self._try_to_create(sending, request)
            except UnavailableError as error:
                in_doubt = True
                attempts.pause(error)
                continue
            if verdict == "lost":
                raise _lost_upload(sending)
            sending.already_there = verdict == "taken" and not in_doubt
            return
        raise _vanished(sending)

    def _try_to_create(self, sending: _Sending, request: Callable[[], object]) -> _Verdict:
        try:
            request()
        except PreconditionFailedError as error:
            if self._is_there(sending):
                return "taken"
            # Refused, yet nothing is there: removed in between, or a racing upload not visible yet.
            raise _vanished(sending) from error
        except ObjectNotFoundError:
            # The store does not know the upload: because it was completed, or because it was given up.
            return "taken" if self._is_there(sending) else "lost"
        return "created"

    def _is_there(self, sending: _Sending) -> bool:
        try:
            entry = self._store.stat(sending.file.key)
        except ObjectNotFoundError:
            return False
        if entry.size_bytes != sending.size_bytes:
            raise CorruptError(
                f"the store holds {entry.size_bytes} bytes at {sending.file.key},"
                f" where {sending.file.label} has {sending.size_bytes}",
                advice="run fsck on the registry",
            )
        return True

    def _attempts(self) -> Attempts:
        return Attempts(self._patience, self._halt, self._meter.count_retry)

    def _insist(self, request: Callable[[], Result]) -> Result:
        return self._attempts().insist(request)


def _read_piece(piece: _Piece, buffer: _Buffer) -> memoryview:
    """Return the bytes of a piece; raise `RejectedError` if they are not those that were hashed."""
    file = piece.sending.file
    body = buffer.of(piece.stop - piece.start)
    with disk_errors(file.label):
        descriptor = open_regular(file.path)
        try:
            size_now_bytes = os.fstat(descriptor).st_size
            filled = read_full(descriptor, body, piece.start)
        finally:
            os.close(descriptor)
    if size_now_bytes != file.digest.size_bytes or filled != len(body):
        raise changed_while_published(file.label)
    if file.digest.chunks.sha256 and hashlib.sha256(body).hexdigest() != file.digest.chunks.sha256[piece.index]:
        raise changed_while_published(file.label)
    return body


def _by_key(files: Sequence[LocalFile]) -> dict[str, _Sending]:
    """Return one object for each key: equal files of a version are one object."""
    sending: dict[str, _Sending] = {}
    for file in files:
        known = sending.setdefault(file.key, _Sending(file))
        if known.file.digest.sha256 != file.digest.sha256:
            raise UsageError(f"{file.label} and {known.file.label} differ, yet share the key {file.key}")
    return sending


def _outcome(file: LocalFile, sending: _Sending) -> Uploaded:
    is_first = sending.file is file
    already_there = sending.already_there or not is_first
    return Uploaded(
        label=file.label,
        key=file.key,
        size_bytes=file.digest.size_bytes,
        uploaded_bytes=0 if already_there else file.digest.size_bytes,
        already_there=already_there,
    )


def _lost_upload(sending: _Sending) -> UnavailableError:
    return UnavailableError(
        f"the store gave up the upload of {sending.file.label} before it was complete",
        advice="publish again; if it recurs, see the bucket's rule for incomplete uploads",
    )


def _vanished(sending: _Sending) -> UnavailableError:
    return UnavailableError(
        f"the store neither takes {sending.file.label} nor holds it at {sending.file.key}",
        advice="publish again",
    )
