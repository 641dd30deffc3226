"""Makes one object of one local file, piece by piece, whatever other processes do with the same object.

An object of one piece is created by one request. A larger one goes the way of a multipart upload, which nobody owns:
one that an earlier process left is continued, and another process may continue ours while we are at it. That is
harmless, because the key names the content: a part counts only if the store's ETag of it is the digest of our chunk,
whoever completes first creates the object, and who finds the upload gone looks whether the object is there. Where it
is not, the object is begun anew.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from bucketry.clock import MOST_TRIES
from bucketry.errors import (
    BucketryError,
    CorruptError,
    DeniedError,
    RejectedError,
    UnavailableError,
    UnsupportedError,
    UsageError,
)
from bucketry.frozen import frozen
from bucketry.store.contract import ObjectNotFoundError, PreconditionFailedError, SlowDownError
from bucketry.transfer.up.outgoing import LocalReadError, PieceOfFile, SentBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bucketry.clock import Backoff
    from bucketry.store.contract import Part, Store, Streamed
    from bucketry.transfer.pace.progress import ProgressMeter
    from bucketry.transfer.pace.ratelimit import RateLimit
    from bucketry.transfer.pace.workers import Gate, Halt
    from bucketry.transfer.plan import TransferOptions
    from bucketry.transfer.up.outgoing import Buffers, ChunkPlace, OutgoingFile

# From this size on, asking first whether the object is there costs less than sending it in vain.
ASK_FIRST_BYTES = 1024 * 1024
MOST_ROUNDS = 4
MOST_UPLOADS_CONSIDERED = 4

Result = TypeVar("Result")
_Verdict = Literal["created", "taken", "lost"]


class _LostUploadError(Exception):
    """The store does not know the upload any more, or not the parts that it said it has."""


class Sending:
    """One object on its way, shared by the threads that send its pieces; `lock` guards it."""

    def __init__(self, file: OutgoingFile) -> None:
        self.file = file
        self.size_bytes = file.digest.size_bytes
        self.lock = threading.Lock()
        self.round = 0
        self.begun = False
        self.already_there = False
        self.sent_bytes = 0
        self.copied_bytes = 0
        self.upload_id: str | None = None
        self.is_adopted = False
        self.kept: dict[int, Part] = {}
        self.parts: dict[int, Part] = {}
        self.remaining = self.piece_count
        self.done_bytes = 0

    @property
    def piece_count(self) -> int:
        """How many pieces it has; an empty file has an empty one."""
        return max(1, len(self.file.digest.chunks.sha256))

    def pieces(self) -> list[UploadPiece]:
        """Return the pieces of this round."""
        return [UploadPiece(self, self.round, PieceOfFile(self.file, index)) for index in range(self.piece_count)]

    def begin_anew(self) -> None:
        """Forget all parts."""
        self.round += 1
        self.begun = False
        self.upload_id = None
        self.is_adopted = False
        self.kept = {}
        self.parts = {}
        self.remaining = self.piece_count
        self.copied_bytes = 0
        self.done_bytes = 0


@frozen
class UploadPiece:
    """A piece to be sent, in a round of its object: of an earlier round, it is of no use any more."""

    sending: Sending
    round: int
    what: PieceOfFile[Any]


@dataclass(slots=True)
class Sender:
    """Sends pieces; used by all threads of one upload.

    `copies` says where the store has chunks with a SHA-256 already. `enqueue` takes pieces that must be sent again.
    """

    store: Store
    options: TransferOptions
    halt: Halt
    meter: ProgressMeter
    gate: Gate
    limit: RateLimit
    buffers: Buffers
    copies: Mapping[str, ChunkPlace]
    enqueue: Callable[[Sequence[UploadPiece]], None]
    _unusable: set[str] = field(default_factory=set)
    _can_copy: bool = True
    _changed: list[Sending] = field(default_factory=list)

    def send(self, piece: UploadPiece) -> None:
        """Bring one piece into the store, and the object with it if it is the last one."""
        sending = piece.sending
        try:
            with sending.lock:
                self.halt.check()
                if piece.round != sending.round:
                    return
                if not sending.begun:
                    self._begin(sending)
                    sending.begun = True
                upload_id = sending.upload_id
            with SentBytes(lambda count: self.meter.advance(sending.file.label, count)) as sent:
                if not sending.already_there:
                    if upload_id is None:
                        body = piece.what.file.body(piece.what, self.buffers, self.limit, sent)
                        self._create(
                            sending,
                            lambda: self.store.put_blob(sending.file.key, body, sha256=sending.file.digest.sha256),
                        )
                        if not sending.already_there:
                            self._count_sent(sending, piece.what)
                    else:
                        self._bring_part(piece, upload_id, sent)
                self._finish_piece(piece, upload_id, sent)
        except _LostUploadError as error:
            self._begin_anew(piece, error)
        except LocalReadError as error:
            raise error.failure from error.failure.__cause__
        except RejectedError:
            self._changed.append(sending)
            raise

    def clean_up(self) -> None:
        """Free the parts of uploads that can never be completed, for their files have changed. Best effort.

        All others stay: whoever uploads the same bytes goes on where this upload ended.
        """
        for sending in self._changed:
            if not sending.is_adopted:
                self._give_up(sending)

    def _begin(self, sending: Sending) -> None:
        file = sending.file
        if sending.round == 0:
            self.meter.begin_file(file.label, sending.size_bytes)
        if sending.size_bytes >= ASK_FIRST_BYTES or sending.round > 0:
            sending.already_there = self._insist(sending, lambda: self._is_there(sending))
        if sending.already_there or (sending.piece_count == 1 and not self._may_copy(sending)):
            return
        if sending.round == 0:
            self._adopt(sending)
        if sending.upload_id is None:
            sending.upload_id = self._insist(sending, lambda: self.store.start_upload(file.key))

    def _adopt(self, sending: Sending) -> None:
        """Go on with the unfinished upload of this object that has the most parts, if there is one."""
        key = sending.file.key
        try:
            found = self._insist(
                sending,
                lambda: [
                    (at, upload) for name, upload, at in islice(self.store.list_uploads(key), 1000) if name == key
                ],
            )
        except (DeniedError, UnsupportedError):
            return  # it only saves work
        for _, upload in sorted(found, reverse=True)[:MOST_UPLOADS_CONSIDERED]:
            try:
                parts = self._insist(sending, lambda upload=upload: self.store.list_parts(key, upload))  # type: ignore[misc]
            except (ObjectNotFoundError, DeniedError, UnsupportedError):
                continue
            kept = {part.number: part for part in parts if _fits(part, sending)}
            if len(kept) > len(sending.kept):
                sending.upload_id, sending.kept, sending.is_adopted = upload, kept, True

    def _bring_part(self, piece: UploadPiece, upload_id: str, sent: SentBytes) -> None:
        sending, what = piece.sending, piece.what
        part = self._copy_part(sending, what, upload_id)
        if part is None:
            kept = sending.kept.get(what.index + 1)
            # A folder's ETag of a part is the SHA-256 that was sent with it: nothing need be read to compare it.
            part = kept if kept is not None and kept.etag == what.sha256 else None
        if part is None:
            if kept is not None and kept.etag == _md5_of(what.file.body(what, self.buffers)):
                part = kept
            else:
                body = what.file.body(what, self.buffers, self.limit, sent)
                part = self._send_part(sending, what, upload_id, body)
        with sending.lock:
            if piece.round == sending.round:
                sending.parts[part.number] = part

    def _send_part(self, sending: Sending, piece: PieceOfFile[Any], upload_id: str, body: Streamed) -> Part:
        key, number = sending.file.key, piece.index + 1
        try:
            part = self._insist(
                sending,
                lambda: self.store.upload_part(key, upload_id, number, piece.start, body, sha256=piece.sha256),
            )
        except ObjectNotFoundError as error:
            raise _LostUploadError from error
        self._count_sent(sending, piece)
        return part

    def _copy_part(self, sending: Sending, piece: PieceOfFile[Any], upload_id: str) -> Part | None:
        """Have the store copy a chunk that it has, or return None: then it must be sent.

        The bytes are not verified here. They are right as the source's are: it is an object under a key that names
        its content, created once and never changed, and its manifest says which SHA-256 this range of it has.
        """
        place = piece.file.place(piece) or self.copies.get(piece.sha256)
        if place is None or not self._can_copy or place.key in self._unusable:
            return None
        if place.stop - place.start != piece.size_bytes:
            return None
        key, number = sending.file.key, piece.index + 1
        try:
            part = self._insist(
                sending,
                lambda: self.store.copy_part(
                    key, upload_id, number, piece.start, place.key, place.start, place.stop, source=place.store
                ),
            )
        except UnsupportedError:
            self._can_copy = False
        except (ObjectNotFoundError, UsageError, DeniedError):
            # The source was collected, or may not be read; or it is the upload that is gone, as sending will tell.
            self._unusable.add(place.key)
        else:
            with sending.lock:
                sending.copied_bytes += piece.size_bytes
            return part
        return None

    def _may_copy(self, sending: Sending) -> bool:
        """Return whether the store may copy a file of one piece, which takes the requests of an upload in parts."""
        return (
            self._can_copy and sending.size_bytes > 0 and sending.file.place(PieceOfFile(sending.file, 0)) is not None
        )

    def _finish_piece(self, piece: UploadPiece, upload_id: str | None, sent: SentBytes) -> None:
        sending, label = piece.sending, piece.sending.file.label
        with sending.lock:
            if piece.round != sending.round:
                sent.take_back()
                return
            sending.remaining -= 1
            sending.done_bytes += piece.what.size_bytes
            is_last = sending.remaining == 0
        self.meter.advance(label, piece.what.size_bytes - sent.count)
        sent.count = 0  # from here on it counts as done, whatever becomes of the whole
        self.meter.count_verified_chunk(label)
        if is_last:
            if upload_id is not None:
                key, numbers = sending.file.key, range(1, sending.piece_count + 1)
                parts = [sending.parts[number] for number in numbers]  # every one, or a KeyError
                self._create(sending, lambda: self.store.complete_upload(key, upload_id, parts))
                if sending.already_there:
                    self._give_up(sending)  # another was first: the parts are of no use
                sending.upload_id = None
            self.meter.finish_file(label)

    def _begin_anew(self, piece: UploadPiece, lost: _LostUploadError) -> None:
        sending = piece.sending
        with sending.lock:
            if piece.round != sending.round:
                return
            if sending.round + 1 == MOST_ROUNDS:
                raise UnavailableError(
                    f"the store gave up the upload of {sending.file.label} before it was complete",
                    advice="publish again; if it recurs, see the bucket's rule for incomplete uploads",
                ) from lost
            done_bytes = sending.done_bytes
            sending.begin_anew()
            pieces = sending.pieces()
        self.meter.advance(sending.file.label, -done_bytes)
        self.meter.count_retry(sending.file.label)
        self.enqueue(pieces)

    def _give_up(self, sending: Sending) -> None:
        if sending.upload_id is not None:
            try:
                self.store.abort_upload(sending.file.key, sending.upload_id)
            except BucketryError:
                return  # maintenance finds what stays
            sending.upload_id = None

    def _create(self, sending: Sending, request: Callable[[], object]) -> None:
        """Send a create-only request until the object is there, by us or by another.

        After a doubtful reply the object itself is asked for: the request may have done its work.
        """
        backoff = self._new_backoff(sending)
        in_doubt = False
        for _ in range(MOST_TRIES):
            self.halt.check()
            try:
                if in_doubt and self._is_there(sending):
                    return
                verdict = self._try_to_create(sending, request)
            except UnavailableError as error:
                in_doubt = True
                self._slow_down_for(error)
                backoff.pause_or_raise(error)
                continue
            if verdict == "lost":
                raise _LostUploadError
            sending.already_there = verdict == "taken" and not in_doubt
            return
        raise _vanished(sending)

    def _try_to_create(self, sending: Sending, request: Callable[[], object]) -> _Verdict:
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
        except (UsageError, UnsupportedError, CorruptError):
            # The parts are not those that we know: another process completed the upload just now, or replaced one.
            if sending.upload_id is not None and self._is_there(sending):
                return "taken"
            if sending.upload_id is None or sending.round > 0:
                raise
            return "lost"
        return "created"

    def _is_there(self, sending: Sending) -> bool:
        try:
            entry = self.store.stat(sending.file.key)
        except ObjectNotFoundError:
            return False
        if entry.size_bytes != sending.size_bytes:
            raise CorruptError(
                f"the store holds {entry.size_bytes} bytes at {sending.file.key},"
                f" where {sending.file.label} has {sending.size_bytes}",
                advice="run fsck on the registry",
            )
        return True

    def _count_sent(self, sending: Sending, piece: PieceOfFile[Any]) -> None:
        with sending.lock:
            sending.sent_bytes += piece.size_bytes
        self.gate.count(piece.size_bytes)

    def _new_backoff(self, sending: Sending) -> Backoff:
        return self.options.new_backoff(lambda: self.meter.count_retry(sending.file.label))

    def _insist(self, sending: Sending, request: Callable[[], Result]) -> Result:
        def ask() -> Result:
            try:
                return request()
            except UnavailableError as error:
                self._slow_down_for(error)
                raise

        return self._new_backoff(sending).insist(ask)

    def _slow_down_for(self, error: UnavailableError) -> None:
        if isinstance(error, SlowDownError):
            self.gate.slow_down()


def _fits(part: Part, sending: Sending) -> bool:
    if not 1 <= part.number <= sending.piece_count:
        return False
    return part.size_bytes == PieceOfFile(sending.file, part.number - 1).size_bytes


def _md5_of(body: Streamed) -> str:
    """Return what the ETag of these bytes is as a part, where a store calls parts by their MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    for one in body.slices():
        digest.update(one)
    return digest.hexdigest()


def _vanished(sending: Sending) -> UnavailableError:
    return UnavailableError(
        f"the store neither takes {sending.file.label} nor holds it at {sending.file.key}",
        advice="publish again",
    )
