"""The head of a model: its one commit point.

The head stays under 96 KiB whatever the number of versions: rows beyond the newest are sealed in pages
(`pages.py`), and what grows with a version (evidence, reviews, dependents, notes) is in its dossier.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from bucketry.errors import CorruptError, RejectedError
from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, Document, Fields, decode, encode, without_empty
from bucketry.schema.documents.audit import Trail, parse_time, read_trail
from bucketry.schema.documents.placement import Placement, read_placement
from bucketry.schema.documents.states import State, parse_state
from bucketry.schema.names import AliasName, Digest, ModelName, parse_alias, parse_model_name

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_HEAD_BYTES = 96 * 1024
LARGEST_ROW_BYTES = 768
LARGEST_DESCRIPTION_BYTES = 2048
LARGEST_LABELS_BYTES = 2048
LARGEST_ROW_LABELS_BYTES = 256
MOST_ALIASES = 64
MOST_HEADLINE_METRICS = 8


@frozen
class Deletion:
    """A deletion that was begun: at which generation of the head, and the state to go back to."""

    generation: int
    before: State

    def to_document(self) -> Document:
        """Return the JSON form."""
        return {"generation": self.generation, "before": self.before}


@frozen
class Row:
    """What the head says about one version; at most 768 bytes as JSON."""

    version: int
    manifest: Digest
    placement: Placement
    size_bytes: int
    created_at: str
    created_by: str
    state: State = State.REGISTERED
    metrics: Mapping[str, float] = field(default_factory=dict)
    dossier: Digest | None = None
    base: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    idempotency: str | None = None
    deletion: Deletion | None = None
    extra: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> Document:
        """Return the JSON form, without the fields that are empty."""
        return (
            dict(self.extra)
            | {
                "version": self.version,
                "manifest": self.manifest,
                "placement": [list(run) for run in self.placement],
                "size_bytes": self.size_bytes,
                "created_at": self.created_at,
                "created_by": self.created_by,
                "state": self.state,
            }
            | without_empty(
                {
                    "metrics": dict(self.metrics),
                    "dossier": self.dossier,
                    "base": self.base,
                    "labels": dict(self.labels),
                    "idempotency": self.idempotency,
                    "deletion": self.deletion.to_document() if self.deletion else None,
                }
            )
        )


@frozen
class SealedPages:
    """How many rows left the head, and the digest of the directory of the pages that hold them."""

    count: int = 0
    directory: Digest | None = None


@frozen
class Head:
    """A model's commit point. Rows are the newest versions, oldest first, without gaps.

    `deleted` is a tombstone: the model was given up with all its versions, until somebody publishes to it again.
    `retention` are the model's own rules as `documents/retention.py` reads them, None where the registry's hold.
    """

    registry: str
    model: ModelName
    epoch: int = 1
    next_version: int = 1
    rows: tuple[Row, ...] = ()
    sealed: SealedPages = field(default_factory=SealedPages)
    aliases: tuple[AliasName, ...] = ()
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    policy: Digest | None = None
    trail: Trail = field(default_factory=Trail)
    extra: Mapping[str, object] = field(default_factory=dict)
    deleted: bool = False
    retention: Mapping[str, object] | None = None

    @property
    def generation(self) -> int:
        """How many commits the head has seen."""
        return self.trail.generation

    @property
    def was_published(self) -> bool:
        """Whether a version was ever given a number: before that, nobody has heard of the model."""
        return self.next_version > 1

    @property
    def is_there(self) -> bool:
        """Whether there is a model to speak of: something was published, and it was not given up as a whole."""
        return self.was_published and not self.deleted

    def find_row(self, version: int) -> Row | None:
        """Return the row of a version that is not sealed."""
        index = version - self.rows[0].version if self.rows else -1
        return self.rows[index] if 0 <= index < len(self.rows) else None

    def with_row(self, row: Row) -> tuple[Row, ...]:
        """Return the rows with the one of the same version replaced."""
        return tuple(row if old.version == row.version else old for old in self.rows)


def encode_head(head: Head) -> bytes:
    """Return the head's bytes; raise `RejectedError` for what would break its limits."""
    for row in head.rows:
        check_row(row)
    if len(head.aliases) > MOST_ALIASES:
        raise RejectedError(f"{head.model} has {MOST_ALIASES} aliases, the most that a model can have")
    if len(head.description.encode()) > LARGEST_DESCRIPTION_BYTES:
        raise RejectedError(f"the description is longer than {LARGEST_DESCRIPTION_BYTES} bytes")
    return encode(
        dict(head.extra)
        | head.trail.to_document()
        | {
            "format": FORMAT,
            "registry": head.registry,
            "model": str(head.model),
            "epoch": head.epoch,
            "next_version": head.next_version,
            "rows": [row.to_document() for row in head.rows],
            "sealed": {"count": head.sealed.count, "directory": head.sealed.directory},
            "aliases": list(head.aliases),
            "description": head.description,
            "labels": dict(head.labels),
            "policy": head.policy,
        }
        | ({"deleted": True} if head.deleted else {})
        | ({"retention": dict(head.retention)} if head.retention is not None else {})
    )


def decode_head(body: bytes, *, what: str) -> Head:
    """Return the head; raise `CorruptError`, also where its rows are not numbered without gaps."""
    fields = Fields(decode(body, what=what), what=what)
    sealed = fields.inner("sealed")
    head = Head(
        registry=fields.text("registry"),
        model=fields.parsed("model", parse_model_name),
        epoch=fields.integer("epoch", least=1),
        next_version=fields.integer("next_version", least=1),
        rows=tuple(read_row(inner) for inner in fields.inners("rows", most=1_000)),
        sealed=SealedPages(sealed.integer("count", default=0), sealed.optional_digest("directory")),
        aliases=tuple(
            Fields({"alias": name}, what=f"{what}: aliases").parsed("alias", parse_alias)
            for name in fields.items("aliases", most=MOST_ALIASES)
        ),
        description=fields.text("description", default=""),
        labels=fields.texts("labels"),
        policy=fields.optional_digest("policy"),
        trail=read_trail(fields, may_be_empty=True),
        deleted=fields.flag("deleted", default=False),
        retention=fields.table("retention") or None,
        extra=fields.rest(),
    )
    if not head.trail.records and head != Head(head.registry, head.model, extra=head.extra):
        raise CorruptError(f"{what}: a head without audit records is not empty")
    expected = range(head.sealed.count + 1, head.next_version)
    if [row.version for row in head.rows] != list(expected):
        raise CorruptError(f"{what}: the rows are not versions {expected.start} to {expected.stop - 1}")
    return head


def read_row(fields: Fields) -> Row:
    """Return one row, of a head or a page."""
    metrics = fields.inner("metrics")
    begun = fields.inner("deletion") if fields.table("deletion") else None
    return Row(
        version=fields.integer("version", least=1),
        manifest=fields.digest("manifest"),
        placement=read_placement(fields),
        size_bytes=fields.integer("size_bytes"),
        created_at=fields.parsed("created_at", parse_time),
        created_by=fields.text("created_by"),
        state=fields.parsed("state", parse_state),
        metrics={name: metrics.number(name) for name in fields.table("metrics")},
        dossier=fields.optional_digest("dossier"),
        base=fields.optional_text("base"),
        labels=fields.texts("labels"),
        idempotency=fields.optional_text("idempotency"),
        deletion=Deletion(begun.integer("generation", least=1), begun.parsed("before", parse_state)) if begun else None,
        extra=fields.rest(),
    )


def check_row(row: Row) -> None:
    """Raise `RejectedError` for a row that would take over 768 bytes once it has a dossier."""
    size_bytes = _row_bytes(row)
    if size_bytes > LARGEST_ROW_BYTES:
        raise RejectedError(
            f"the index row of version {row.version} would take {size_bytes} bytes; the limit is {LARGEST_ROW_BYTES}",
            advice="use shorter labels",
        )


def has_room(row: Row) -> bool:
    """Return whether a row has room in the index."""
    return _row_bytes(row) <= LARGEST_ROW_BYTES


def fit_metrics(row: Row, metrics: Mapping[str, float]) -> Mapping[str, float]:
    """Return as many of the metrics, from the front, as the row can show: at most 8, within its 768 bytes."""
    kept: dict[str, Any] = {}
    room = LARGEST_ROW_BYTES - _row_bytes(row) - len(',"metrics":{}')
    for name, value in list(metrics.items())[:MOST_HEADLINE_METRICS]:
        room -= len(encode({name: value}))
        if room < 0:
            break
        kept[name] = value
    return kept


def _row_bytes(row: Row) -> int:
    """Return the size of the row with a dossier and the longest state: a pin or a note must not be refused for room.

    Nor must a deletion: while it is under way, its mark takes up to 64 bytes more.
    """
    longest = replace(row, dossier=row.dossier or Digest("0" * 64), state=State.REGISTERED, deletion=None)
    return len(encode(longest.to_document()))
