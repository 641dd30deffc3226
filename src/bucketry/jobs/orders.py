"""What a worker may be ordered to do, what came of it, and how both are written down."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar, cast

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.registry.reading.pull import PullOptions
from bucketry.schema.names import parse_model_name
from bucketry.transfer.plan import TransferOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bucketry.registry.reading.pull import Verified
    from bucketry.schema.codec import Document, Fields
    from bucketry.schema.names import Digest, ModelName

T = TypeVar("T", bound=str)

LONGEST_PATH_CHARACTERS = 4096
MOST_PATTERNS = 1_000
MOST_SOURCES = 100
PUBLISH_OPTIONS = ("connections", "limit_bytes_per_second")
PULL_OPTIONS = (
    *("verify", "rehash", "include", "exclude", "connections", "limit_bytes_per_second", "processes", "hard_link"),
    *("cache", "allow_rejected"),
)


@frozen
class PullOrder:
    """What was asked for, complete enough for a process that knows nothing else.

    `registry` is a profile's name, a URL or an absolute path, `registry_id` what was found there. The version is the
    one that the reference named when it was ordered. `dest` None means the cache. `token` makes an order that is sent
    twice one job; `settings` has digests of the settings in the environment that decide which registry is meant.
    `with_base` brings what an adapter adapts, too.
    """

    kind: ClassVar[Literal["pull"]] = "pull"

    token: str
    registry: str
    registry_id: str
    reference: str
    model: ModelName
    version: int
    manifest: str
    dest: Path | None
    trust: Path | None
    settings: Mapping[str, str]
    options: PullOptions
    with_base: bool = False


@frozen
class PublishOrder:
    """What was asked for, with the draft of the version, which lies beside the job's file and is named by its SHA-256.

    `actor` is who publishes. `sources` are what the version was said to be made of, as far as there is room. `key` is
    the SHA-256 of the idempotency key: no two jobs are to publish the same version. `request_review` asks the
    reviewers when it is there.
    """

    kind: ClassVar[Literal["publish"]] = "publish"

    token: str
    registry: str
    registry_id: str
    model: ModelName
    actor: str
    draft: str
    key: str
    sources: tuple[str, ...]
    size_bytes: int
    files: int
    chunks: int
    settings: Mapping[str, str]
    options: TransferOptions
    request_review: bool = False


Order = PullOrder | PublishOrder


@frozen
class JobResult:
    """What a finished job brought, as `PulledVersion` says it; `refused` says by whom it was refused, if it was."""

    kind: ClassVar[Literal["pull"]] = "pull"

    path: Path
    version: int
    manifest: str
    size_bytes: int
    fetched_bytes: int
    reused_bytes: int
    seconds: float
    verify: Verified
    refused: str = ""

    @property
    def moved_bytes(self) -> int:
        """How many bytes came over the network, or from the folder that the registry is."""
        return self.fetched_bytes


@frozen
class PublishResult:
    """What a finished publish made, as `RegisteredVersion` says it."""

    kind: ClassVar[Literal["publish"]] = "publish"

    version: int
    manifest: Digest
    size_bytes: int
    uploaded_bytes: int
    reused_bytes: int
    created: bool
    seconds: float
    same_files_as: int | None = None

    @property
    def moved_bytes(self) -> int:
        """How many bytes the worker sent that finished it."""
        return self.uploaded_bytes


def place_of(order: Order) -> tuple[str, ...]:
    """Return what no two jobs may work on at once."""
    if isinstance(order, PublishOrder):
        return (order.registry_id, str(order.model), order.key)
    if order.dest is not None:
        return (str(order.dest),)
    return (order.registry_id, str(order.model), order.manifest)


def purpose_of(order: Order) -> str:
    """Return what an order is for, for a log or a message."""
    if isinstance(order, PublishOrder):
        return f"{', '.join(order.sources)} is to become a version of {order.model}"
    return f"{order.reference} is to be pulled to {order.dest or 'the cache'}"


def order_document(order: Order) -> Document:
    """Return an order as it is written down."""
    common: Document = {
        "kind": order.kind,
        "token": order.token,
        "registry": order.registry,
        "registry_id": order.registry_id,
        "model": str(order.model),
        "settings": dict(order.settings),
    }
    if isinstance(order, PublishOrder):
        return common | {
            "actor": order.actor,
            "draft": order.draft,
            "key": order.key,
            "sources": list(order.sources),
            "size_bytes": order.size_bytes,
            "files": order.files,
            "chunks": order.chunks,
            "options": _written(order.options, PUBLISH_OPTIONS) | {"request_review": order.request_review},
        }
    return common | {
        "reference": order.reference,
        "version": order.version,
        "manifest": order.manifest,
        "dest": None if order.dest is None else str(order.dest),
        "trust": None if order.trust is None else str(order.trust),
        "options": _written(order.options, PULL_OPTIONS) | {"with_base": order.with_base},
    }


def read_order(fields: Fields) -> Order:
    """Return the order in a document; raise `CorruptError`."""
    kind = one_of(fields, "kind", ("pull", "publish"), str) if fields.optional_text("kind") else "pull"
    return _read_pull_order(fields) if kind == "pull" else _read_publish_order(fields)


def result_document(result: JobResult | PublishResult) -> Document:
    """Return what came of a job as it is written down."""
    return asdict(result) | ({"path": str(result.path)} if isinstance(result, JobResult) else {})


def read_result(fields: Fields, order: Order) -> JobResult | PublishResult:
    """Return what came of an order; raise `CorruptError`."""
    if isinstance(order, PullOrder):
        return JobResult(
            path=Path(fields.text("path", longest=LONGEST_PATH_CHARACTERS)),
            version=fields.integer("version", least=1),
            manifest=fields.digest("manifest"),
            size_bytes=fields.integer("size_bytes"),
            fetched_bytes=fields.integer("fetched_bytes"),
            reused_bytes=fields.integer("reused_bytes"),
            seconds=fields.number("seconds"),
            verify=cast("Verified", one_of(fields, "verify", ("sha256", "fast", "sizes_and_times"), str)),
            refused=fields.text("refused", default=""),
        )
    return PublishResult(
        version=fields.integer("version", least=1),
        manifest=fields.digest("manifest"),
        size_bytes=fields.integer("size_bytes"),
        uploaded_bytes=fields.integer("uploaded_bytes"),
        reused_bytes=fields.integer("reused_bytes"),
        created=fields.flag("created"),
        seconds=fields.number("seconds"),
        same_files_as=fields.optional_integer("same_files_as", least=1),
    )


def one_of(fields: Fields, name: str, allowed: Sequence[T], make: Callable[[str], T]) -> T:
    """Return a text that is one of those allowed; raise `CorruptError`."""
    text = fields.text(name, longest=64)
    if text not in allowed:
        raise CorruptError(f"{fields.what}: {name} is not one of {', '.join(map(str, allowed))}")
    return make(text)


def _read_pull_order(fields: Fields) -> PullOrder:
    options = fields.inner("options")
    return PullOrder(
        token=fields.text("token", longest=64),
        registry=fields.text("registry", longest=LONGEST_PATH_CHARACTERS),
        registry_id=fields.text("registry_id", longest=256),
        reference=fields.text("reference", longest=512),
        model=fields.parsed("model", parse_model_name),
        version=fields.integer("version", least=1),
        manifest=fields.digest("manifest"),
        dest=_optional_path(fields, "dest"),
        trust=_optional_path(fields, "trust"),
        settings=fields.texts("settings"),
        options=PullOptions(
            verify=cast("Literal['sha256', 'fast']", one_of(options, "verify", ("sha256", "fast"), str)),
            rehash=options.flag("rehash"),
            include=_read_texts(options, "include", MOST_PATTERNS),
            exclude=_read_texts(options, "exclude", MOST_PATTERNS),
            connections=options.integer("connections", least=1),
            limit_bytes_per_second=options.optional_integer("limit_bytes_per_second", least=1),
            processes=options.integer("processes", least=1),
            hard_link=options.flag("hard_link"),
            cache=options.flag("cache", default=False),
            allow_rejected=options.flag("allow_rejected", default=False),
        ),
        with_base=options.flag("with_base"),
    )


def _written(options: TransferOptions, names: Sequence[str]) -> Document:
    """Return the options as they are written down: all but who watches and steers, which no file holds."""
    found = {name: getattr(options, name) for name in names}
    return {name: list(value) if isinstance(value, tuple | list) else value for name, value in found.items()}


def _read_publish_order(fields: Fields) -> PublishOrder:
    options = fields.inner("options")
    return PublishOrder(
        token=fields.text("token", longest=64),
        registry=fields.text("registry", longest=LONGEST_PATH_CHARACTERS),
        registry_id=fields.text("registry_id", longest=256),
        model=fields.parsed("model", parse_model_name),
        actor=fields.text("actor", longest=512),
        draft=fields.digest("draft"),
        key=fields.digest("key"),
        sources=_read_texts(fields, "sources", MOST_SOURCES),
        size_bytes=fields.integer("size_bytes"),
        files=fields.integer("files", least=1),
        chunks=fields.integer("chunks"),
        settings=fields.texts("settings"),
        options=TransferOptions(
            connections=options.integer("connections", least=1),
            limit_bytes_per_second=options.optional_integer("limit_bytes_per_second", least=1),
        ),
        request_review=options.flag("request_review"),
    )


def _read_texts(fields: Fields, name: str, most: int) -> tuple[str, ...]:
    texts = fields.items(name, most=most)
    if not all(isinstance(text, str) for text in texts):
        raise CorruptError(f"{fields.what}: {name} is not a list of texts")
    return tuple(texts)


def _optional_path(fields: Fields, name: str) -> Path | None:
    """Return an absolute path: whoever reads it may stand elsewhere than whoever wrote it."""
    text = fields.optional_text(name)
    if text is None:
        return None
    path = Path(text)
    if not path.is_absolute() or "\0" in text or len(text) > LONGEST_PATH_CHARACTERS:
        raise CorruptError(f"{fields.what}: {name} is not an absolute path")
    return path
