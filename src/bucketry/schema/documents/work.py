"""Work that several machines share: a plan, its shards (what is to be done), and their results (what was found).

All are written once. A shard needs nothing but itself and the bucket, so any machine can do it, again and again; its
first result counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bucketry.errors import CorruptError, UsageError
from bucketry.frozen import frozen
from bucketry.schema import keys
from bucketry.schema.codec import FORMAT, Fields, decode, encode
from bucketry.schema.documents.audit import parse_time
from bucketry.schema.names import parse_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.schema.codec import Document
    from bucketry.schema.keys import WorkPlace
    from bucketry.schema.names import Digest

MOST_SHARDS = 10_000
"""As many as AWS Batch takes in one array."""
MOST_PIECES = 100_000
LONGEST_PROBLEM = 2_000

WorkKind = Literal["fsck"]


@frozen
class PlannedShard:
    """A shard as its plan knows it: the SHA-256 of its document, and how much there is to do."""

    sha256: Digest
    pieces: int
    size_bytes: int


@frozen
class WorkPlan:
    """What is to be done, for which registry, by whom it was planned, and all shards in their order."""

    registry: str
    work: str
    kind: WorkKind
    at: str
    by: str
    shards: tuple[PlannedShard, ...]

    @property
    def size_bytes(self) -> int:
        """How many bytes are to be read in all."""
        return sum(shard.size_bytes for shard in self.shards)


@frozen
class Piece:
    """Chunks of one blob that are to be verified: those from number `first` on have the digests `sha256`.

    They are those of the object with this ETag. `size_bytes` is that of the whole blob, `chunk_bytes` that of every
    chunk but its last.
    """

    key: str
    etag: str
    size_bytes: int
    chunk_bytes: int
    first: int
    sha256: tuple[str, ...]

    @property
    def start(self) -> int:
        """Where in the blob the piece begins."""
        return self.first * self.chunk_bytes

    @property
    def stop(self) -> int:
        """Where in the blob it ends."""
        return min(self.size_bytes, (self.first + len(self.sha256)) * self.chunk_bytes)

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the blob."""
        return self.start == 0 and self.stop == self.size_bytes

    def to_document(self) -> Document:
        """Return the JSON form."""
        return {
            "key": self.key,
            "etag": self.etag,
            "size_bytes": self.size_bytes,
            "chunk_bytes": self.chunk_bytes,
            "first": self.first,
            "sha256": list(self.sha256),
        }


@frozen
class WorkResult:
    """What a shard came to: why a piece is not right, or could not be read, by its place in the shard.

    All others are right, in the objects that have their ETags.
    """

    work: str
    shard: int
    at: str
    by: str
    host: str
    seconds: float
    size_bytes: int
    problems: Mapping[int, str]


def encode_plan(plan: WorkPlan) -> bytes:
    """Return the plan's bytes."""
    return encode(
        {
            "format": FORMAT,
            "registry": plan.registry,
            "work": plan.work,
            "kind": plan.kind,
            "at": plan.at,
            "by": plan.by,
            "shards": [
                {"sha256": shard.sha256, "pieces": shard.pieces, "size_bytes": shard.size_bytes}
                for shard in plan.shards
            ],
        }
    )


def decode_plan(body: bytes, *, what: str) -> WorkPlan:
    """Return the plan; raise `CorruptError`."""
    fields = Fields(decode(body, what=what), what=what)
    if fields.text("kind") != "fsck":
        raise CorruptError(f"{what} is about work of a kind that this program does not know")
    return WorkPlan(
        registry=fields.text("registry"),
        work=fields.text("work"),
        kind="fsck",
        at=fields.parsed("at", parse_time),
        by=fields.text("by"),
        shards=tuple(
            PlannedShard(inner.digest("sha256"), inner.integer("pieces"), inner.integer("size_bytes"))
            for inner in fields.inners("shards", most=MOST_SHARDS)
        ),
    )


def encode_shard(work: str, number: int, pieces: list[Document]) -> bytes:
    """Return the bytes of a shard, of the JSON forms of its pieces."""
    return encode({"format": FORMAT, "work": work, "shard": number, "pieces": pieces})


def decode_shard(body: bytes, *, what: str) -> tuple[Piece, ...]:
    """Return the pieces of a shard; raise `CorruptError`, also for one that is no part of the blob at its key."""
    fields = Fields(decode(body, what=what), what=what)
    fields.text("work")
    fields.integer("shard")
    return tuple(_read_piece(inner) for inner in fields.consumed_inners("pieces", most=MOST_PIECES))


def encode_result(result: WorkResult) -> bytes:
    """Return the bytes of a result."""
    return encode(
        {
            "format": FORMAT,
            "work": result.work,
            "shard": result.shard,
            "at": result.at,
            "by": result.by,
            "host": result.host,
            "seconds": result.seconds,
            "size_bytes": result.size_bytes,
            "problems": [
                {"piece": piece, "problem": problem[:LONGEST_PROBLEM]} for piece, problem in result.problems.items()
            ],
        }
    )


def decode_result(body: bytes, *, what: str) -> WorkResult:
    """Return a result; raise `CorruptError`."""
    fields = Fields(decode(body, what=what), what=what)
    return WorkResult(
        work=fields.text("work"),
        shard=fields.integer("shard"),
        at=fields.parsed("at", parse_time),
        by=fields.text("by"),
        host=fields.text("host"),
        seconds=float(fields.number("seconds")),
        size_bytes=fields.integer("size_bytes"),
        problems={
            inner.integer("piece"): inner.text("problem") for inner in fields.inners("problems", most=MOST_PIECES)
        },
    )


def check_work_document(place: WorkPlace, body: bytes, *, what: str) -> str:
    """Read a document of shared work as its readers do, and return the key at which it belongs."""
    if place.kind == "plan":
        return keys.work_plan(decode_plan(body, what=what).work)
    if place.kind == "results":
        result = decode_result(body, what=what)
        return keys.work_result(result.work, result.shard)
    decode_shard(body, what=what)
    fields = Fields(decode(body, what=what), what=what)
    return keys.work_shard(fields.text("work"), fields.integer("shard"))


def read_piece(document: object, *, what: str) -> Piece:
    """Return a piece of its JSON form; raise `CorruptError`, also for one that is no part of the blob at its key."""
    return _read_piece(Fields(document, what=what))


def _read_piece(fields: Fields) -> Piece:
    piece = Piece(
        key=fields.text("key"),
        etag=fields.text("etag"),
        size_bytes=fields.integer("size_bytes"),
        chunk_bytes=fields.integer("chunk_bytes", least=1),
        first=fields.integer("first"),
        sha256=tuple(fields.items("sha256")),
    )
    try:
        is_blob = keys.find_blob_place(keys.model_of_key(piece.key), piece.key) is not None
        for digest in piece.sha256:
            parse_digest(digest)
    except (UsageError, TypeError, AttributeError) as error:
        raise CorruptError(f"{fields.what} is no piece of a blob") from error
    chunks = -(-piece.size_bytes // piece.chunk_bytes)
    if not is_blob or piece.first + len(piece.sha256) > chunks or (chunks and not piece.sha256):
        raise CorruptError(f"{fields.what} is no piece of a blob")
    return piece
